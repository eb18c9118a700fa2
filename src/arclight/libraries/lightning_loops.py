"""Lightning's training loops, with hooks at which a run can be saved and resumed exactly.

None of Lightning's hooks runs between two steps. After `on_train_batch_end`, the module's own hook
and the logging of the step are still to come; after `on_validation_end`, the schedules that monitor
a metric; after `on_train_epoch_end`, the logging of the epoch. A checkpoint saved there loses or
repeats these, and restarted loops skip others. The loops here call a hook between two batches, when
everything is done, and continue from such a checkpoint as if training had not stopped. Checkpoints
of other hooks resume as in Lightning.
"""

from collections.abc import Callable
from typing import Any

import lightning as L
from lightning.pytorch.loops.fit_loop import _FitLoop
from lightning.pytorch.loops.loop import _Loop
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop

from arclight.libraries.missing import missing

FILE = "lightning_loops.py"
SETTLED, STARTED = "on_train_batch_settled", "on_train_started"
"""Hooks that callbacks may define in addition to Lightning's.

`on_train_batch_settled(trainer, pl_module, epoch_over)`: called when all work of a batch is done:
its metrics are logged, and the validation and the schedules after it have run; after the last batch
of an epoch, the work of the epoch is done too.
`on_train_started(trainer, pl_module)`: called after the module's own `on_train_start`, where many
templates reset metrics.
"""
_KEY = "arclight"
_LOOPS = (_FitLoop, _TrainingEpochLoop)


class SettledEpochLoop(_TrainingEpochLoop):
    """Lightning's loop over the batches of an epoch, which calls the hook after each batch."""

    enough: Callable[[], bool]

    def on_run_start(self, data_fetcher: Any) -> None:
        super().on_run_start(data_fetcher)
        loop = self.trainer.fit_loop
        assert isinstance(loop, SettledFitLoop)
        if loop.within_epoch:  # the counters are restored: continue as a normal loop
            loop.within_epoch = False
            loop.forget_restart()

    def on_advance_end(self, data_fetcher: Any) -> None:
        super().on_advance_end(data_fetcher)
        if not self._num_ready_batches_reached():
            call_settled_hooks(self.trainer, epoch_over=False)

    @property
    def _is_training_done(self) -> bool:
        return super()._is_training_done or self.enough()


class SettledFitLoop(_FitLoop):
    """Lightning's loop over epochs, which calls the hook after each epoch and resumes exactly.

    Attributes:
        moment: `within` an epoch or `between` two epochs while the hook is called, otherwise None;
            saved in checkpoints.
        within_epoch: whether the loaded checkpoint was saved within an epoch that has not continued
            yet.
        listeners: callbacks that define the hook.
        enough: returns whether training should stop.
    """

    moment: str | None
    within_epoch: bool
    listeners: list[Any]
    enough: Callable[[], bool]
    _loaded: dict[str, Any]

    @property
    def done(self) -> bool:
        # A stopping run that was interrupted within an epoch finishes the epoch first.
        return not self.within_epoch and (super().done or self.enough())

    def setup_data(self) -> None:
        """Creates the loaders; those of an earlier epoch are created as in that epoch."""
        epoch = self._loaded.pop("train_loaders", None)
        if epoch is None or not _reloads(self.trainer):
            super().setup_data()
            return
        if self._combined_loader is not None:  # created too early, when a schedule read its length
            if self._data_fetcher is not None:
                self._data_fetcher.teardown()
            self._combined_loader = None
        with _Epoch(self, epoch):
            super().setup_data()

    def reset(self) -> None:
        super().reset()
        if self._loaded.get("moment") == "between":
            self.forget_restart()

    def forget_restart(self) -> None:
        """Marks this loop and its inner loops as not restarting."""
        # The class's own setter treats every run with `max_steps` as restarted.
        _Loop.restarting.fset(self, False)  # type: ignore[attr-defined]

    def on_run_start(self) -> None:
        epoch = self._loaded.pop("val_loaders", None)
        if epoch is not None and _reloads(self.trainer):
            with _Epoch(self, epoch):
                self.trainer.validating = True
                self.epoch_loop.val_loop.setup_data()
                self.trainer.training = True
        super().on_run_start()
        self.listeners = [c for c in _callbacks(self.trainer) if hasattr(c, SETTLED)]
        for callback in _callbacks(self.trainer):
            if hook := getattr(callback, STARTED, None):
                hook(self.trainer, self.trainer.lightning_module)

    def on_advance_end(self) -> None:
        super().on_advance_end()
        call_settled_hooks(self.trainer, epoch_over=True)

    def on_save_checkpoint(self) -> dict[str, Any]:
        val = self.epoch_loop.val_loop._last_val_dl_reload_epoch
        saved = {
            "moment": self.moment,
            "should_stop": self.trainer.should_stop,
            "train_loaders": self._last_train_dl_reload_epoch,
            "val_loaders": val if val >= 0 else None,
        }
        return {**super().on_save_checkpoint(), _KEY: saved}

    def on_load_checkpoint(self, state_dict: dict[str, Any]) -> None:
        super().on_load_checkpoint(state_dict)
        self._loaded = dict(state_dict.get(_KEY, {}))
        self.within_epoch = self._loaded.get("moment") == "within"
        self.trainer.should_stop = self._loaded.get("should_stop", False)


class _Epoch:
    """Within the block, Lightning and everything it calls see another epoch number."""

    def __init__(self, loop: _FitLoop, epoch: int) -> None:
        self.progress, self.epoch = loop.epoch_progress.current, epoch

    def __enter__(self) -> None:
        self.before, self.progress.completed = self.progress.completed, self.epoch

    def __exit__(self, *_: object) -> None:
        self.progress.completed = self.before


def call_settled_hooks(trainer: L.Trainer, epoch_over: bool) -> None:
    """Calls the hook of all callbacks that define it."""
    loop = trainer.fit_loop
    assert isinstance(loop, SettledFitLoop)
    loop.moment = "between" if epoch_over else "within"
    try:
        for callback in loop.listeners:
            callback.on_train_batch_settled(trainer, trainer.lightning_module, epoch_over)
    finally:
        loop.moment = None


def settle_loops(trainer: L.Trainer) -> None:
    """Replaces the trainer's loops by these.

    Raises:
        RuntimeError: the loops of this version of Lightning are different.
    """
    loop = trainer.fit_loop
    used = {
        loop: ("_last_train_dl_reload_epoch", "_data_fetcher", "_combined_loader"),
        loop.epoch_loop: ("_is_training_done", "_num_ready_batches_reached"),
        loop.epoch_loop.val_loop: ("_last_val_dl_reload_epoch",),
    }
    gone = [
        f"{type(o).__name__}.{n}" for o, names in used.items() for n in names if n not in dir(o)
    ]
    gone += [k.__name__ for k in (type(loop), type(loop.epoch_loop)) if k not in _LOOPS]
    if gone:
        raise missing("lightning", ", ".join(gone), FILE)
    loop.__class__ = SettledFitLoop
    loop.epoch_loop.__class__ = SettledEpochLoop
    assert isinstance(loop, SettledFitLoop)
    loop.moment, loop.within_epoch, loop.listeners, loop._loaded = None, False, [], {}
    stop_when(trainer, lambda: False)


def stop_when(trainer: L.Trainer, enough: Callable[[], bool]) -> None:
    """Ends training, as `max_steps` does, when `enough` returns True after a batch."""
    for loop in (trainer.fit_loop, trainer.fit_loop.epoch_loop):
        assert isinstance(loop, (SettledFitLoop, SettledEpochLoop))
        loop.enough = enough


def _reloads(trainer: L.Trainer) -> bool:
    return bool(trainer.reload_dataloaders_every_n_epochs)  # type: ignore[attr-defined]


def _callbacks(trainer: L.Trainer) -> list[Any]:
    found: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    return found
