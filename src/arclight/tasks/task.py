"""What every task shares: the optimizer, and sums that stay on the device until they are read."""

from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

OptimizerFactory = Callable[[nn.Module, bool], Optimizer]
ScheduleFactory = Callable[[Optimizer, int, int], LRScheduler]


class Sums:
    """Running sums of a few per-example figures, on the device: adding never waits for it."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self._total: Tensor | None = None

    def add(self, *values: Tensor, examples: int) -> None:
        """Adds sums over `examples` examples, one 0-d tensor for each name."""
        new = torch.stack([*(v.detach().float() for v in values), values[0].new_tensor(examples)])
        self._total = new if self._total is None else self._total.add_(new)

    def read(self) -> tuple[dict[str, float], int]:
        """Means and number of examples since the last `clear`, over all processes.

        This is the one place that waits for the device; all processes come here together.
        """
        total = self.state()
        if total is None:
            return {}, 0
        *sums, count = total
        return {n: s / count for n, s in zip(self.names, sums, strict=True)}, int(count)

    def clear(self) -> None:
        self._total = None

    def state(self) -> list[float] | None:
        """The sums over all processes, for a checkpoint."""
        if self._total is None:
            return None
        total = self._total.clone()
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(total)
        state: list[float] = total.tolist()
        return state

    def restore(self, state: list[float] | None, device: torch.device) -> None:
        """Takes the sums of a checkpoint; in one process only, since they were of all."""
        self._total = None if state is None else torch.tensor(state, device=device)


class Task(L.LightningModule):
    """A model and what it learns; subclasses write the steps.

    Args:
        model: the network.
        optimizer: makes the optimizer of a module; the second argument allows fused kernels.
        schedule: makes the schedule from the optimizer, the run's steps and an epoch's steps.
        figures: names of the per-example figures that `training_step` adds to `self.sums`.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        figures: tuple[str, ...],
    ) -> None:
        super().__init__()
        self.model = model
        self.sums = Sums(figures)
        self._make_optimizer = optimizer
        self._make_schedule = schedule

    def forward(self, *inputs: Any) -> Any:
        return self.model(*inputs)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        # Fused kernels unscale fp16 gradients themselves, which rules out clipping them before.
        fused = self.trainer.precision != "16-mixed" and self.device.type in ("cpu", "cuda")
        optimizer = self._make_optimizer(self.model, fused)
        self.trainer.fit_loop.setup_data()  # so that the length of an epoch is known
        batches = int(self.trainer.num_training_batches)
        self.steps_per_epoch = max(1, batches // self.trainer.accumulate_grad_batches)
        total = int(self.trainer.estimated_stepping_batches)
        schedule = self._make_schedule(optimizer, total, self.steps_per_epoch)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
