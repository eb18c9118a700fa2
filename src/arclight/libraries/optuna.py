"""What the engine needs of Optuna's private names, in one place.

- `CmaEsSampler._restore_optimizer` and what it is made of: Optuna keeps the state of CMA-ES in the
  study as a pickle, and a pickle runs code when it is read. Here it is made again from the trials,
  and so nothing of the kind is kept.

A name that is gone raises an error when the sampler is made.
"""

from collections.abc import Mapping
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import CmaEsSampler
from optuna.trial import FrozenTrial

from arclight.libraries.missing import missing

USED = ("_restore_optimizer", "_init_optimizer", "_get_solution_trials")


class PlainCmaEsSampler(CmaEsSampler):
    """CMA-ES (Hansen and Ostermeier, 2001) whose state is made from the finished trials.

    Raises:
        RuntimeError: this version of Optuna has other names for what it is made of.
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
        """The optimizer after all generations of which enough trials have finished."""
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
            told = known[: optimizer.population_size]
            optimizer.tell([(transform.transform(t.params), sign * t.values[0]) for t in told])
