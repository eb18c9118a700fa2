"""Counting steps: a step is a batch after which at least one optimizer stepped, counted from 1."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

__all__ = ["StepCounter", "last_step", "stepped", "steps_done"]


class StepCounter(Callback):
    """Counts the steps of a module with manual optimization.

    Lightning's `global_step` counts the steps of all optimizers: with two of them `max_steps=6`
    would end training after three batches.

    Args:
        max_steps: training ends after this many steps; -1: never.
    """

    def __init__(self, max_steps: int = -1) -> None:
        self.max_steps = max_steps
        self.steps = 0
        self._before = 0
        self.stepped = True  # whether an optimizer stepped in the last batch

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        self._before = trainer.global_step

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self.stepped = trainer.global_step > self._before
        self.steps += self.stepped

    def enough(self) -> bool:
        """Whether `max_steps` is reached. `trainer.should_stop` would run an extra validation."""
        return 0 < self.max_steps <= self.steps

    def state_dict(self) -> dict[str, int]:
        return {"steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.steps = state_dict["steps"]


def steps_done(trainer: L.Trainer) -> int:
    """The number of steps done since the start of the run."""
    counter = _counter(trainer)
    return counter.steps if counter else trainer.global_step


def last_step(trainer: L.Trainer) -> int:
    """The last step by `max_steps`; -1 if there is no limit."""
    counter = _counter(trainer)
    return counter.max_steps if counter else trainer.max_steps


def stepped(trainer: L.Trainer) -> bool:
    """Whether an optimizer stepped in the last batch (with manual optimization; else True)."""
    counter = _counter(trainer)
    return counter is None or counter.stepped


def _counter(trainer: L.Trainer) -> StepCounter | None:
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    first = callbacks[0] if callbacks else None
    return first if isinstance(first, StepCounter) else None
