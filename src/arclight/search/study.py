"""The study on disk: its trials, their workers and their results."""

import fcntl
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import optuna
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, Trial, TrialState

from arclight.errors import UserError
from arclight.files import lock, open_lock
from arclight.libraries.optuna import PlainCmaEsSampler
from arclight.search.settings import Objective, Search
from arclight.search.space import Assignment, Parameter, assignments
from arclight.seeds import mix

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass
class Claim:
    """A trial that only this process works on, while it keeps `lock` open."""

    number: int
    id: int
    values: Assignment
    lock: IO[str]
    retries: int
    found: bool  # whether it was started by a process that no longer exists

    def release(self) -> None:
        self.lock.close()


class Study:
    """An Optuna study with locks, so any number of processes can share it.

    A running trial is locked by its process. The kernel releases the lock when the process ends for
    any reason, so a running trial without a lock has lost its worker.

    Args:
        search: the settings.
        space: the parameters.
        aims: the objectives.
        folder: the search directory; None keeps the study in memory.
    """

    def __init__(
        self,
        search: Search,
        space: Sequence[Parameter],
        aims: Sequence[Objective],
        folder: Path | None,
    ) -> None:
        self.search = search
        self.space = list(space)
        self.aims = list(aims)
        self.folder = folder
        with self.alone(), _quiet(), _readable(folder):
            self.storage = _storage(search.storage, folder) if folder else InMemoryStorage()
            self.study = optuna.create_study(
                storage=self.storage,
                study_name=search.name,
                directions=[aim.direction for aim in aims],
                load_if_exists=True,
                pruner=_pruner(search),
            )
            self.study.set_metric_names([aim.metric for aim in aims])

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Blocks other processes that want to claim a trial of this study."""
        if self.folder is None:
            yield
            return
        with open_lock(self.folder / ".lock") as file:
            lock(file, fcntl.LOCK_EX)
            yield

    def trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    @property
    def wanted(self) -> int:
        """The number of trials of the whole search."""
        if self.search.sampler != "grid":
            assert self.search.n_trials is not None
            return self.search.n_trials
        points = sum(1 for _ in assignments(self.space))
        return min(points, self.search.n_trials or points)

    def claim(self) -> Claim | None:
        """A trial that lost its worker, or a new one; None if there is none now."""
        with self.alone():
            trials = self.trials()
            for trial in trials if self.folder else ():
                if trial.state != TrialState.RUNNING:
                    continue
                lock = self._lock(trial.number)
                if lock is None:
                    continue
                id = self._id(trial.number)
                if self.storage.get_trial(id).state == TrialState.RUNNING:
                    return self._claimed(self._begun(trial.number, id), lock, found=True)
                lock.close()  # it has ended since the list was read
            if sum(t.state != TrialState.WAITING for t in trials) >= self.wanted:
                return None
            if self.has_failed:
                return None
            number = sum(t.state != TrialState.WAITING for t in trials)
            self.study.sampler = _sampler(self.search, mix(f"search/{number}", self.search.seed))
            if self.search.sampler == "grid" and number == len(trials):
                self._enqueue(number)
            new = self.study.ask()
            lock = self._lock(new.number)
            assert lock is not None
            return self._claimed(new, lock, found=False)

    def _enqueue(self, number: int) -> None:
        for i, point in enumerate(assignments(self.space)):
            if i == number:
                self.study.enqueue_trial(point)

    def _id(self, number: int) -> int:
        """The trial's id in the storage."""
        study = self.storage.get_study_id_from_name(self.study.study_name)
        return self.storage.get_trial_id_from_study_id_trial_number(study, number)

    def _begun(self, number: int, id: int) -> Trial:
        self.study.sampler = _sampler(self.search, mix(f"search/{number}", self.search.seed))
        return Trial(self.study, id)

    def _claimed(self, trial: Trial, lock: IO[str], found: bool) -> Claim:
        values = self._suggest(trial)
        return Claim(
            number=trial.number,
            id=self._id(trial.number),
            values=values,
            lock=lock,
            retries=int(trial.user_attrs.get("retries", 0)),
            found=found,
        )

    def _suggest(self, trial: Trial) -> Assignment:
        """The trial's values: stored ones, and proposals of the sampler for the rest.

        Each proposal depends only on the seed, the trial's number, the key and earlier trials. So
        it stays the same if the process is killed between two proposals.
        """
        _ = trial.relative_params
        values: Assignment = {}
        for parameter in self.space:
            if not parameter.is_active(values):
                continue
            seed = mix(f"search/{trial.number}/{parameter.key}", self.search.seed)
            trial.study.sampler = _sampler(self.search, seed)
            stored = suggested(trial, parameter)
            values[parameter.key] = parameter.decode(stored)
        return values

    def _lock(self, number: int) -> IO[str] | None:
        """The trial's lock; None if another process has it."""
        folder = self.folder
        if folder is None:
            return open(os.devnull)
        (folder / "trials").mkdir(exist_ok=True)
        file = open_lock(folder / "trials" / f".{number:04d}.lock")
        if not lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB):
            file.close()
            return None
        return file

    def note(self, claim: Claim, **values: Any) -> None:
        """Stores values as attributes of the trial."""
        for key, value in values.items():
            self.storage.set_trial_user_attr(claim.id, key, value)

    def report(self, claim: Claim, step: int, value: float) -> bool:
        """Stores a validation metric; returns whether the trial should be pruned."""
        self.storage.set_trial_intermediate_value(claim.id, step, value)
        return self.study.pruner.prune(self.study, self.storage.get_trial(claim.id))

    def tell(self, claim: Claim, state: TrialState, values: Sequence[float] | None = None) -> None:
        """Ends the trial."""
        self.study.tell(claim.number, values, state=state)

    @property
    def failures(self) -> list[FrozenTrial]:
        return [t for t in self.trials() if t.state == TrialState.FAIL]

    @property
    def has_failed(self) -> bool:
        """Whether `max_failures` trials have failed, which ends the search."""
        most = self.search.max_failures
        return most is not None and len(self.failures) >= most

    @property
    def ended(self) -> int:
        return sum(t.state.is_finished() for t in self.trials())

    @property
    def is_over(self) -> bool:
        """Whether all trials of the search have ended."""
        return self.ended >= self.wanted


def distribution(
    parameter: Parameter,
) -> CategoricalDistribution | FloatDistribution | IntDistribution:
    """Optuna's description of a parameter."""
    if parameter.choices:
        return CategoricalDistribution(parameter.encoded())
    low, high, log, step = parameter.low, parameter.high, parameter.log, parameter.step
    if parameter.real:
        return FloatDistribution(low, high, log=log, step=step)
    return IntDistribution(int(low), int(high), log=log, step=int(step or 1))


def suggested(trial: Trial, parameter: Parameter) -> Any:
    """The parameter's value in a trial, as Optuna stores it."""
    key, of = parameter.key, distribution(parameter)
    if isinstance(of, CategoricalDistribution):
        return trial.suggest_categorical(key, of.choices)
    if isinstance(of, FloatDistribution):
        return trial.suggest_float(key, of.low, of.high, log=of.log, step=of.step)
    return trial.suggest_int(key, of.low, of.high, log=of.log, step=of.step)


def _sampler(search: Search, key: int) -> optuna.samplers.BaseSampler:
    seed = key % 2**32
    with _quiet():
        if search.sampler == "tpe":
            return optuna.samplers.TPESampler(seed=seed)
        if search.sampler == "cmaes":
            return PlainCmaEsSampler(seed=seed, warn_independent_sampling=False)
        return optuna.samplers.RandomSampler(seed=seed)


def _pruner(search: Search) -> optuna.pruners.BasePruner:
    after, factor = search.prune_after, search.prune_factor
    if search.pruner == "asha":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=after, reduction_factor=factor)
    if search.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=after, reduction_factor=factor)
    if search.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=after)
    return optuna.pruners.NopPruner()


def _storage(storage: str, folder: Path) -> BaseStorage:
    """Opens the storage. It keeps no open connection, which forked processes would share."""
    if storage == "journal":
        path = str(folder / "journal.log")
        return JournalStorage(JournalFileBackend(path, lock_obj=KernelLock(path)))
    from sqlalchemy.pool import NullPool

    if storage == "sqlite":
        path = str((folder / "study.db").resolve())
        return RDBStorage(
            f"sqlite:///{path}",
            engine_kwargs={"poolclass": NullPool, "connect_args": {"timeout": 100}},
        )
    return RDBStorage(storage, engine_kwargs={"poolclass": NullPool})


class KernelLock(JournalFileOpenLock):
    """Locks the journal with a kernel lock, which is released when the process ends for any reason.

    A crash of the machine can leave an incomplete last line. It is removed, because the next
    append would make the journal unreadable.
    """

    def __init__(self, journal: str) -> None:
        super().__init__(journal)
        self._journal = Path(journal)
        self._file: IO[str] | None = None

    def acquire(self) -> bool:
        self._file = open_lock(self._journal.with_suffix(".lock"))
        fcntl.flock(self._file, fcntl.LOCK_EX)
        content = self._journal.stat().st_size
        if content:
            with self._journal.open("rb+") as file:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.seek(0)
                    file.truncate(file.read().rfind(b"\n") + 1)
        return True

    def release(self) -> None:
        assert self._file is not None
        self._file.close()


@contextmanager
def _readable(folder: Path | None) -> Iterator[None]:
    """Raises `UserError` if the study's files cannot be read."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # each storage raises its own errors
        said = " ".join(str(error).split())[:200]
        raise UserError(
            f"The study in {folder} cannot be read ({type(error).__name__}: {said}): restore a "
            "good copy, or choose another search.dir to start a new search."
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences Optuna's warnings about experimental features; the lock file pins its version."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        yield
