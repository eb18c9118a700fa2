"""Stopping on a signal: after the current step, with a checkpoint, on all processes together."""

import signal
import time
from types import FrameType
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.exceptions import SIGTERMException

from arclight.libraries.lightning import is_accumulating
from arclight.signals import (
    SAME_SIGNAL,
    SIGNALS,
    cancel_exit,
    end_by_force,
    exit_on_signals,
    note_handled,
    set_computing,
)
from arclight.training.checkpoints import Checkpoints

PATIENCE = 6.0  # seconds that a run waits for its next batch after a signal


class Interrupts(Callback):
    """During training, a signal ends the run after the current step, with a checkpoint.

    Several processes agree on the step without waiting for each other: their flags are reduced
    while the next step computes, so all stop one step after the first process got the signal.

    If no further batch arrives, for example because a disk hangs, the run ends without another
    step: after `PATIENCE` seconds, or at a second signal.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints
        self.signum = 0
        self._group: Any = None  # a gloo group, if there are several processes
        self._flag = torch.zeros(1)
        self._pending: dist.Work | None = None
        self._computing = False
        self._batches = 0  # number of batch starts and ends
        self._signalled_at = (0.0, 0)  # the time of the signal, and `_batches` at that time

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.world_size > 1:
            self._group = dist.new_group(backend="gloo")
        for number in SIGNALS:  # instead of Lightning's handler, which calls a collective itself
            signal.signal(number, self._on_signal)
        # A signal that a callback has just ignored would otherwise be raised again within a step.
        self.signum = cancel_exit() or self.signum

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        note_handled()
        again = self.signum and time.monotonic() - self._signalled_at[0] > SAME_SIGNAL
        if again and not self._computing:
            end_by_force(signum)
        if not self.signum:
            self._signalled_at = (time.monotonic(), self._batches)
            signal.signal(signal.SIGALRM, self._on_alarm)
            signal.setitimer(signal.ITIMER_REAL, PATIENCE, PATIENCE)
        self.signum = signum

    def _on_alarm(self, _: int, frame: FrameType | None) -> None:
        """Ends the run if no batch has started or ended since the signal or the last alarm."""
        if self._batches == self._signalled_at[1] and not self._computing:
            end_by_force(self.signum)
        self._signalled_at = (self._signalled_at[0], self._batches)

    def _count(self, computing: bool) -> None:
        self._computing, self._batches = computing, self._batches + 1
        set_computing(computing)

    def on_train_batch_start(self, *_: Any) -> None:
        self._count(computing=True)

    def on_train_batch_end(self, *_: Any) -> None:
        self._count(computing=False)

    def on_validation_batch_start(self, *_: Any) -> None:
        self._count(computing=True)

    def on_validation_batch_end(self, *_: Any) -> None:
        self._count(computing=False)

    def on_train_batch_settled(
        self, trainer: L.Trainer, pl_module: L.LightningModule, epoch_over: bool
    ) -> None:
        if self._group is None and not self.signum:
            return
        # A checkpoint between accumulated batches would lose the gradients so far.
        if (is_accumulating(trainer) and not epoch_over) or not self._must_stop():
            return
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.checkpoints.save_if_new(trainer)
        # `trainer.should_stop` would run an extra validation and end as if the run had finished.
        raise SIGTERMException

    def _must_stop(self) -> bool:
        if self._group is None:
            return bool(self.signum)
        if self._pending is not None:
            self._pending.wait()
        stop = bool(self._flag.item())
        self._flag = torch.tensor([float(self.signum)])
        self._pending = dist.all_reduce(
            self._flag, op=dist.ReduceOp.MAX, group=self._group, async_op=True
        )
        if stop:
            self._pending.wait()
            self.signum = int(self._flag.item()) or self.signum
        return stop

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        set_computing(False)
        exit_on_signals()
