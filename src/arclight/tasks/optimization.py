"""The optimizer and the schedule of the config, and clipping of gradients."""

from collections.abc import Callable
from typing import Any

import lightning as L
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

OptimizerFactory = Callable[..., Optimizer]
"""Called as `optimizer(module, fused)`, or as `optimizer(parameters)` like a partial."""

ScheduleFactory = Callable[..., LRScheduler | dict[str, Any]]
"""Called as `schedule(optimizer, total_steps, steps_per_epoch)`, see `configure_optimizers`."""


class ConfigOptimization(L.LightningModule):
    """Creates the optimizer and the schedule of the config; the base of `Task`."""

    model: nn.Module
    _make_optimizer: OptimizerFactory
    _make_schedule: ScheduleFactory

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips the norm of all gradients, or each by its value (`gradient_clip_algorithm`).

        Lightning's own method rejects fused optimizers in any mixed precision, because their
        gradients may still be scaled. Only fp16 scales them, and there the optimizer is not fused.
        """
        if not gradient_clip_val:
            return
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        if gradient_clip_algorithm == "value":
            nn.utils.clip_grad_value_(parameters, gradient_clip_val)
        else:
            nn.utils.clip_grad_norm_(parameters, gradient_clip_val)

    def optimizer_of(self, module: nn.Module, fused: bool) -> Optimizer:
        """Creates the config's optimizer for a module's parameters."""
        return self._make_optimizer(module, fused)

    @property
    def may_fuse(self) -> bool:
        """Whether the optimizer may use fused kernels on this device and in this precision.

        Fused optimizers unscale fp16 gradients themselves, so these could not be clipped before.
        """
        return self.trainer.precision != "16-mixed" and self.device.type in ("cpu", "cuda")

    def scheduled(self, optimizer: Optimizer) -> OptimizerLRSchedulerConfig:
        """An optimizer with the config's schedule, as the dictionary that Lightning takes.

        The schedule is stepped after each optimizer step, unless its factory returns a dictionary
        with another `interval`. With manual optimization the task steps it.
        """
        self.trainer.fit_loop.setup_data()  # sets the length of an epoch
        batches = int(self.trainer.num_training_batches)
        self.steps_per_epoch = max(1, batches // self.trainer.accumulate_grad_batches)
        total = int(self.trainer.estimated_stepping_batches)
        schedule: Any = self._make_schedule(optimizer, total, self.steps_per_epoch)
        if not isinstance(schedule, dict):
            schedule = {"scheduler": schedule, "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def configure_optimizers(self) -> Any:
        """The config's optimizer and schedule for the model.

        A task with several networks returns a list of `self.scheduled(self.optimizer_of(network,
        self.may_fuse))`.
        """
        return self.scheduled(self.optimizer_of(self.model, self.may_fuse))
