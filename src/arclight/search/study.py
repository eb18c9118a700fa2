"""The study on disk: its trials, their workers and their results."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import optuna
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from arclight.files import lock, open_lock
from arclight.libraries.optuna import quiet
from arclight.search.samplers import pruner_of, sampler_of, suggested
from arclight.search.settings import Objective, Search
from arclight.search.space import Assignment, Parameter, assignments
from arclight.search.storage import open_storage, readable
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
        with self.alone(), quiet(), readable(folder):
            self.storage = open_storage(search.storage, folder) if folder else InMemoryStorage()
            self.study = optuna.create_study(
                storage=self.storage,
                study_name=search.name,
                directions=[aim.direction for aim in aims],
                load_if_exists=True,
                pruner=pruner_of(search),
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
            self.study.sampler = sampler_of(self.search, mix(f"search/{number}", self.search.seed))
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
        self.study.sampler = sampler_of(self.search, mix(f"search/{number}", self.search.seed))
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
            trial.study.sampler = sampler_of(self.search, seed)
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
