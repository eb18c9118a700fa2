"""A non-finite loss or weight ends the run; it is never saved to a checkpoint."""

import math
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from arclight.errors import UserError
from arclight.models.sharded import is_shard
from arclight.tasks.task import Task


class NonFiniteError(Exception):
    """Training has diverged."""


ADVICE = "Try a lower optimizer.lr, a longer scheduler.warmup or trainer.gradient_clip_val=1."


def require_finite_loss(loss: float, trainer: L.Trainer) -> None:
    """Raises `NonFiniteError` for a NaN or infinite mean loss."""
    if not math.isfinite(loss):
        raise NonFiniteError(
            f"The training loss is {loss} at step {trainer.global_step} "
            f"(epoch {trainer.current_epoch + 1}). {ADVICE}"
        )


def is_finite(tensors: list[Tensor]) -> bool:
    """Whether the tensors have no NaN and no infinity; with shards, a collective call."""
    norm: Any = get_total_norm(tensors)
    return bool(torch.isfinite(norm.full_tensor() if is_shard(norm) else norm))


def require_finite(module: nn.Module, file: Path) -> None:
    """Raises `UserError` if weights loaded from a file are NaN or infinite."""
    for name, weight in module.named_parameters():
        whole = weight.is_floating_point() and not is_shard(weight)
        if whole and not torch.isfinite(weight).all():
            raise UserError(
                f"{file} has weights that are not finite ({name}), so every prediction would be "
                "NaN: choose another checkpoint with checkpoint=FILE, or train again."
            )


def require_finite_weights(trainer: L.Trainer) -> None:
    """Raises `NonFiniteError` if a parameter is NaN or infinite."""
    weights = [p.detach() for p in trainer.lightning_module.parameters()]
    if weights and not is_finite(weights):
        raise NonFiniteError(
            f"The weights are not finite at step {trainer.global_step} "
            f"(epoch {trainer.current_epoch + 1}), so no checkpoint was saved. {ADVICE}"
        )


class SkipNonFinite(Callback):
    """`on_nonfinite=skip`: skips optimizer steps with gradients that are not finite.

    The gradients are removed, so the optimizer changes neither weights nor momentum, and the
    training metrics leave the step out. The check waits for the device in every step, so it is
    optional. Too many skipped steps in a row end the run.

    Raises:
        NonFiniteError: `MAX_IN_A_ROW` steps in a row were skipped.
    """

    MAX_IN_A_ROW = 100

    def __init__(self) -> None:
        self.skipped = 0
        self._in_a_row = 0
        self._within_step = False  # more batches are accumulated before the step

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        if not self._within_step and isinstance(pl_module, Task):
            pl_module.sums.mark()
        self._within_step = True

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: Any, optimizer: Optimizer
    ) -> None:
        self._within_step = False
        parameters = [p for p in pl_module.parameters() if p.grad is not None]
        if is_finite([p.grad for p in parameters if p.grad is not None]):
            self._in_a_row = 0
            return
        if isinstance(pl_module, Task):
            pl_module.sums.rewind()
        self.skipped += 1
        self._in_a_row += 1
        for parameter in parameters:
            parameter.grad = None
        if self._in_a_row == self.MAX_IN_A_ROW:
            raise NonFiniteError(
                f"The gradients were not finite in {self._in_a_row} steps in a row, "
                f"up to step {trainer.global_step}. {ADVICE}"
            )

    def state_dict(self) -> dict[str, int]:
        return {"skipped": self.skipped, "in_a_row": self._in_a_row}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.skipped, self._in_a_row = state_dict["skipped"], state_dict["in_a_row"]
