"""Stopping on a signal: after the step in hand, with a checkpoint, on all processes together."""

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
    IMPATIENT,
    SIGNALS,
    end_by_force,
    exit_on_signals,
    heard,
    in_a_step,
    take_over,
)
from arclight.training.checkpoints import Checkpoints

PATIENCE = 6.0  # seconds that a run which is to end waits for its next batch


class Interrupts(Callback):
    """While training, a signal ends the run after the current step, and the step is saved.

    Several processes agree on the step without waiting for each other: the sum of their flags is
    on its way while the next step computes, so that all stop one step after the first was told.

    Where no batch comes, as from a disk that hangs, the run ends without one more step: by itself
    after a while, or at a second signal.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints
        self.signum = 0
        self._group: Any = None  # of CPU processes, where there are several
        self._flag = torch.zeros(1)
        self._pending: dist.Work | None = None
        self._computing = False
        self._batches = 0  # that have begun or ended
        self._told_at = (0.0, 0)  # when, and how many had

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.world_size > 1:
            self._group = dist.new_group(backend="gloo")
        for number in SIGNALS:  # in place of Lightning's, which broadcasts inside the handler
            signal.signal(number, self._note)
        # One that some callback swallowed a moment ago would come up again in the midst of a step.
        self.signum = take_over() or self.signum

    def _note(self, signum: int, frame: FrameType | None) -> None:
        heard()
        again = self.signum and time.monotonic() - self._told_at[0] > IMPATIENT
        if again and not self._computing:
            end_by_force(signum)
        if not self.signum:
            self._told_at = (time.monotonic(), self._batches)
            signal.signal(signal.SIGALRM, self._still_waiting)
            signal.setitimer(signal.ITIMER_REAL, PATIENCE, PATIENCE)
        self.signum = signum

    def _still_waiting(self, _: int, frame: FrameType | None) -> None:
        """Ends the run where no batch comes, of which the step would be the last."""
        if self._batches == self._told_at[1] and not self._computing:
            end_by_force(self.signum)
        self._told_at = (self._told_at[0], self._batches)

    def _count(self, computing: bool) -> None:
        self._computing, self._batches = computing, self._batches + 1
        in_a_step(computing)

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
        # Between the parts of an accumulated batch a checkpoint would lose the gradients so far.
        if (is_accumulating(trainer) and not epoch_over) or not self._told():
            return
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.checkpoints.save_if_new(trainer)
        # `trainer.should_stop` would run a validation that is not due, and end as if finished.
        raise SIGTERMException

    def _told(self) -> bool:
        if self._group is None:
            return bool(self.signum)
        if self._pending is not None:
            self._pending.wait()
        told = bool(self._flag.item())
        self._flag = torch.tensor([float(self.signum)])
        self._pending = dist.all_reduce(
            self._flag, op=dist.ReduceOp.MAX, group=self._group, async_op=True
        )
        if told:
            self._pending.wait()
            self.signum = int(self._flag.item()) or self.signum
        return told

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        in_a_step(False)
        exit_on_signals()
