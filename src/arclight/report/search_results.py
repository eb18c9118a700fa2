"""Reads a search directory: its study and its trials.

The directory contains `search.yaml` (name, overrides, the search's settings and the base config),
the study (`study.db` or `journal.log`, unless `search.storage` is a URL) and `trials/`, which are
run directories.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arclight.errors import UserError
from arclight.reading import read_mapping

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

STATES = {
    "COMPLETE": "finished",
    "PRUNED": "pruned",
    "FAIL": "failed",
    "RUNNING": "running",
    "WAITING": "waiting",
}


@dataclass(frozen=True)
class Search:
    """The content of a search directory.

    Attributes:
        path: the directory.
        name: of the search, and of its study.
        overrides: of the command line.
        settings: the config's `search`.
        config: the frozen config that every trial starts from.
        study: Optuna's.
    """

    path: Path
    name: str
    overrides: list[str]
    settings: dict[str, Any]
    config: dict[str, Any]
    study: "Study"

    @cached_property
    def trials(self) -> "list[FrozenTrial]":
        """All trials, read once, because the study may be running."""
        return self.study.get_trials(deepcopy=False)

    @cached_property
    def objectives(self) -> list[str]:
        """The names of the objectives."""
        return objective_names(self.study, self.settings)

    @cached_property
    def best(self) -> "FrozenTrial | None":
        """The best finished trial; with several objectives, the best of the front in the first."""
        return best_of(self.study)

    @property
    def counts(self) -> dict[str, int]:
        """The number of trials in each state, without empty states."""
        states = [state_of(trial) for trial in self.trials]
        return {word: states.count(word) for word in STATES.values() if word in states}

    def runs_of(self, trial: "FrozenTrial") -> list[Path]:
        """The run directories of a trial: one, or one for each seed."""
        return [self.path / run for run in trial.user_attrs.get("runs", [])]


def open_search(path: str | Path) -> Search:
    """Opens a search directory.

    Raises:
        UserError: it is not a search directory, or its study cannot be read.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = Path(path).expanduser()
    file = folder / "search.yaml"
    if not file.is_file():
        raise UserError(f"{path} is not a search directory: it has no search.yaml.")
    said = read_mapping(file)
    settings = said.get("search") or {}
    if "name" not in said or not isinstance(settings, dict):
        raise UserError(f"{file} is damaged: it should have the name and the settings of a search.")
    try:
        study = optuna.load_study(
            study_name=said["name"], storage=_storage(folder, settings.get("storage"))
        )
    except (KeyError, ValueError, ImportError, RuntimeError) as error:
        raise UserError(f"The study of {path} cannot be read: {error}") from error
    return Search(
        path=folder,
        name=said["name"],
        overrides=said.get("overrides") or [],
        settings=settings,
        config=said.get("config") or {},
        study=study,
    )


def _storage(folder: Path, named: str | None) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    if named and "://" in named:
        return named
    if (folder / "journal.log").is_file():
        return JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    if (folder / "study.db").is_file():
        return f"sqlite:///{folder / 'study.db'}"
    raise UserError(f"{folder} has no study yet: neither study.db nor journal.log.")


def objective_names(study: "Study", settings: dict[str, Any]) -> list[str]:
    """The names from the study, or the search's `metric`; else numbered names."""
    count = len(study.directions)
    named = study.metric_names or settings.get("metric") or []
    names = [named] if isinstance(named, str) else list(named)
    if len(names) == count:
        return names
    return ["value"] if count == 1 else [f"value {i}" for i in range(count)]


def best_of(study: "Study") -> "FrozenTrial | None":
    trials = study.best_trials
    if not trials:
        return None
    sign = -1 if study.directions[0].name == "MAXIMIZE" else 1
    return min(trials, key=lambda trial: (sign * trial.values[0], trial.number))


def state_of(trial: "FrozenTrial") -> str:
    return STATES[trial.state.name]


def values_of(trial: "FrozenTrial") -> list[float] | None:
    """The values of a finished trial, or the last one that a pruned trial reported."""
    if trial.values is not None:
        return list(trial.values)
    if trial.intermediate_values:
        return [trial.intermediate_values[max(trial.intermediate_values)]]
    return None


def parameters_of(trials: "Sequence[FrozenTrial]") -> list[str]:
    """The names of all parameters, in the order of their first appearance."""
    return list(dict.fromkeys(name for trial in trials for name in trial.params))
