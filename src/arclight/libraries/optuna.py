"""Private names of Optuna that the engine uses.

- `CmaEsSampler._restore_optimizer` and the methods that it needs: Optuna saves the state of CMA-ES
  in the study as a pickle, and loading a pickle runs code. Here the state is computed from the
  trials instead, so no pickle is saved.

If a name is missing, creating the sampler raises an error.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import optuna
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import CmaEsSampler
from optuna.trial import FrozenTrial

from arclight.libraries.missing import missing

USED = ("_restore_optimizer", "_init_optimizer", "_get_solution_trials")


class PlainCmaEsSampler(CmaEsSampler):
    """CMA-ES (Hansen and Ostermeier, 2001) that computes its state from the finished trials.

    Raises:
        RuntimeError: this version of Optuna lacks a name that is used here.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name in USED:
            if not hasattr(CmaEsSampler, name):
                raise missing("optuna", f"CmaEsSampler.{name}", "optuna.py")
        self._of: tuple[Study, Mapping[str, BaseDistribution]] | None = None

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        self._of = (study, search_space)
        return super().sample_relative(study, trial, search_space)

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> Any:
        """Returns the optimizer after all generations with enough finished trials."""
        from optuna._transform import _SearchSpaceTransform

        assert self._of is not None
        study, space = self._of
        transform: Any = _SearchSpaceTransform(dict(space), transform_0_1=True)
        optimizer: Any = self._init_optimizer(transform, study.direction)
        sign = 1.0 if study.direction.name == "MINIMIZE" else -1.0
        while True:
            known = self._get_solution_trials(completed_trials, optimizer.generation)
            if len(known) < optimizer.population_size:
                return optimizer
            finished = known[: optimizer.population_size]
            optimizer.tell([(transform.transform(t.params), sign * t.values[0]) for t in finished])


@contextmanager
def quiet() -> Iterator[None]:
    """Silences Optuna's warnings about experimental features; the lock file pins its version."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        yield
