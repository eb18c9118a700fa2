"""Stopping on a signal: after the step in hand, with a checkpoint, on all processes together."""

import signal
from types import FrameType
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.exceptions import SIGTERMException

from arclight.libraries.lightning import is_accumulating
from arclight.signals import SIGNALS, exit_on_signals, take_over
from arclight.training.checkpoints import Checkpoints


class Interrupts(Callback):
    """While training, a signal ends the run after the current step, and the step is saved.

    Several processes agree on the step without waiting for each other: the sum of their flags is
    on its way while the next step computes, so that all stop one step after the first was told.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints
        self.signum = 0
        self._group: Any = None  # of CPU processes, where there are several
        self._flag = torch.zeros(1)
        self._pending: dist.Work | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.world_size > 1:
            self._group = dist.new_group(backend="gloo")
        for number in SIGNALS:  # in place of Lightning's, which broadcasts inside the handler
            signal.signal(number, self._note)
        # One that some callback swallowed a moment ago would come up again in the midst of a step.
        self.signum = take_over() or self.signum

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum

    def on_train_batch_settled(
        self, trainer: L.Trainer, pl_module: L.LightningModule, epoch_over: bool
    ) -> None:
        if self._group is None and not self.signum:
            return
        # Between the parts of an accumulated batch a checkpoint would lose the gradients so far.
        if (is_accumulating(trainer) and not epoch_over) or not self._told():
            return
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
        exit_on_signals()
