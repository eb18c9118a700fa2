"""Where a run stands in its training data: the epoch, and the next batch in it."""

from typing import Any, NamedTuple

import lightning as L
from lightning import LightningDataModule


class Position:
    """Follows the trainer of a data module, and goes on where a checkpoint says.

    Lightning's own counters are wrong at some places: a checkpoint of `on_train_epoch_end` under
    `max_steps` counts the epoch twice; a loader without a length is asked for its first batch
    before the counters of a checkpoint are restored (and again later), since Lightning then
    fetches one batch ahead. Right everywhere are `current_epoch` as a sign that the epoch has
    changed, and how many batches have been trained since, `batch_progress.total.processed`. So
    the position is kept as those two, from a mark that was set when an epoch began.

    Args:
        data: the module whose trainer counts; there may be none yet.
    """

    def __init__(self, data: LightningDataModule) -> None:
        self.data = data
        self._mark: _Mark | None = None
        self._kept: dict[str, Any] = {}
        self._keeper: L.Trainer | None = None  # the trainer that has loaded it

    def __call__(self) -> tuple[int, int]:
        """The epoch and the next batch in it, asked for when its first batch is to be made."""
        trainer = self.data.trainer
        if trainer is None:
            return 0, 0
        self._mark = mark = self._next(trainer)
        return mark.epoch, mark.batch

    def _next(self, trainer: L.Trainer) -> "_Mark":
        trained, lightnings = _trained(trainer), trainer.current_epoch
        mark = self._mark if self._mark is not None and self._mark.trainer is trainer else None
        if self._loaded and trained in (0, self._loaded["trained"]):
            # Nothing trained since. 0: Lightning has not restored its counters yet.
            loaded = self._loaded
            over = int(loaded["over"])
            batch = 0 if over else loaded["batch"]
            counts = loaded["trained"], loaded["lightnings"] + over
            return _Mark(trainer, *counts, loaded["epoch"] + over, batch)
        if mark is None:
            return _Mark(trainer, trained, lightnings, lightnings, trainer.fit_loop.batch_idx + 1)
        if mark.trained == trained:  # what was begun has been thrown away
            return mark
        if lightnings != mark.lightnings:
            return _Mark(trainer, trained, lightnings, mark.epoch + 1, 0)
        batch = mark.batch + trained - mark.trained  # a short loader begins its next cycle
        return _Mark(trainer, trained, lightnings, mark.epoch, batch)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must keep: nothing where nothing has been trained yet."""
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
            # An epoch may also have been ended before its last batch.
            "over": over or progress.processed >= progress.ready,
            "trained": trained,
            "lightnings": mark.lightnings,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes the state that a checkpoint has kept; the next batch asked for is the next."""
        self._kept, self._keeper, self._mark = state, self.data.trainer, None

    @property
    def resumed(self) -> bool:
        """Whether the present trainer goes on from a checkpoint."""
        return self._keeper is not None and self._keeper is self.data.trainer

    @property
    def _loaded(self) -> dict[str, Any]:
        return self._kept if self.resumed else {}


class _Mark(NamedTuple):
    """The position when an epoch began.

    `lightnings` is Lightning's number of it. Lightning may still count it up after the first batch
    was fetched, so that of an epoch which a checkpoint begins follows from the one before.
    """

    trainer: L.Trainer
    trained: int
    lightnings: int
    epoch: int
    batch: int


def _trained(trainer: L.Trainer) -> int:
    """Batches trained since the run's start: counted after the step, and never set back."""
    # Lightning annotates the counters as their common base, which lacks this one.
    total: Any = trainer.fit_loop.epoch_loop.batch_progress.total
    return int(total.processed)
