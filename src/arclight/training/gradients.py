"""Accumulated gradients, for checkpoints between the batches of one optimizer step."""

from collections.abc import Callable
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from arclight.libraries.lightning import is_accumulating
from arclight.training.steps import stepped

KEY = "gradients"


class PartGradients(Callback):
    """Saves gradients in checkpoints between the batches of one step, such as after a validation.

    Other checkpoints have none. With several processes the gradients differ and are not saved.

    Args:
        inexact: called with the reason if gradients are lost.
    """

    def __init__(self, inexact: Callable[[str], None] = lambda _: None) -> None:
        self.inexact = inexact
        self._kept: dict[str, Any] = {}

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        automatic = pl_module.automatic_optimization
        if not is_accumulating(trainer) if automatic else stepped(trainer):
            return
        if trainer.world_size > 1:
            self.inexact(
                "A validation runs between the batches of one step, and with several processes "
                "the gradients so far are not saved: make trainer.val_check_interval a multiple "
                "of trainer.accumulate_grad_batches."
            )
            return
        grads = {n: p.grad for n, p in pl_module.named_parameters() if p.grad is not None}
        checkpoint[KEY] = {name: grad.detach() for name, grad in grads.items()}

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._kept = checkpoint.get(KEY, {})

    def on_train_started(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        kept, self._kept = self._kept, {}
        for name, parameter in pl_module.named_parameters():
            if name in kept and trainer.world_size == 1:
                parameter.grad = kept[name].to(parameter.device)
