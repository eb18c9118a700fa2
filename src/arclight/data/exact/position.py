"""The position of a run in its training data: the epoch, and the next batch in it."""

from typing import Any, NamedTuple

import lightning as L
from lightning import LightningDataModule


class Position:
    """Follows the trainer of a data module, and continues from the position in a checkpoint.

    Lightning's own counters are not always right: a checkpoint of `on_train_epoch_end` with
    `max_steps` counts the epoch twice; the first batch of a loader without a length is fetched
    before the counters of a checkpoint are restored (and again later), since Lightning then
    prefetches one batch. Two are always right: a change of `current_epoch` marks a new epoch, and
    `batch_progress.total.processed` counts the trained batches. The position is computed from these
    two, relative to a mark that is set when an epoch begins.

    Args:
        data: the data module; it may not have a trainer yet.
    """

    def __init__(self, data: LightningDataModule) -> None:
        self.data = data
        self._mark: _Mark | None = None
        self._kept: dict[str, Any] = {}
        self._keeper: L.Trainer | None = None  # the trainer that has loaded it

    def __call__(self) -> tuple[int, int]:
        """Returns the epoch and the next batch in it; called when the first batch is made."""
        trainer = self.data.trainer
        if trainer is None:
            return 0, 0
        self._mark = mark = self._next(trainer)
        return mark.epoch, mark.batch

    def _next(self, trainer: L.Trainer) -> "_Mark":
        trained, lightnings = _trained(trainer), trainer.current_epoch
        mark = self._mark if self._mark is not None and self._mark.trainer is trainer else None
        if self._loaded and trained in (0, self._loaded["trained"]):
            # Nothing was trained since the checkpoint. 0: Lightning has not restored its counters.
            loaded = self._loaded
            over = int(loaded["over"])
            batch = 0 if over else loaded["batch"]
            counts = loaded["trained"], loaded["lightnings"] + over
            return _Mark(trainer, *counts, loaded["epoch"] + over, batch)
        if mark is None:
            return _Mark(trainer, trained, lightnings, lightnings, trainer.fit_loop.batch_idx + 1)
        if mark.trained == trained:  # the last pass was discarded
            return mark
        if lightnings != mark.lightnings:
            return _Mark(trainer, trained, lightnings, mark.epoch + 1, 0)
        batch = mark.batch + trained - mark.trained  # a short loader starts its next cycle
        return _Mark(trainer, trained, lightnings, mark.epoch, batch)

    def state_dict(self) -> dict[str, Any]:
        """Returns the state for a checkpoint; empty if nothing has been trained yet."""
        trainer, mark = self.data.trainer, self._mark
        if trainer is None or mark is None or mark.trainer is not trainer:
            return self._loaded
        trained = _trained(trainer)
        progress: Any = trainer.fit_loop.epoch_progress.current
        if self._loaded and trained == self._loaded["trained"]:
            return self._loaded
        over = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        return {
            "epoch": mark.epoch,
            "batch": mark.batch + trained - mark.trained,
            # An epoch may also end before its last batch.
            "over": over or progress.processed >= progress.ready,
            "trained": trained,
            "lightnings": mark.lightnings,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Loads the state of a checkpoint; the next batch follows the last trained one."""
        self._kept, self._keeper, self._mark = state, self.data.trainer, None

    @property
    def resumed(self) -> bool:
        """Whether the current trainer has loaded a checkpoint."""
        return self._keeper is not None and self._keeper is self.data.trainer

    @property
    def _loaded(self) -> dict[str, Any]:
        return self._kept if self.resumed else {}


class _Mark(NamedTuple):
    """The position when an epoch began.

    `lightnings` is Lightning's number of the epoch. Lightning may increase it after the first batch
    is fetched, so after a checkpoint at the end of an epoch it is computed from the former one.
    """

    trainer: L.Trainer
    trained: int
    lightnings: int
    epoch: int
    batch: int


def _trained(trainer: L.Trainer) -> int:
    """The number of batches trained since the run's start; counted after each step, never reset."""
    # Lightning annotates the counters with their base class, which lacks this one.
    total: Any = trainer.fit_loop.epoch_loop.batch_progress.total
    return int(total.processed)
