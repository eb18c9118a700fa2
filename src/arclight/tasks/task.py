"""What every task shares: the optimizer, and sums that stay on the device until they are read."""

import math
import warnings
from collections.abc import Callable
from typing import Any, Self

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from arclight.data.facts import Facts
from arclight.models.frozen import frozen_parts

OptimizerFactory = Callable[[nn.Module, bool], Optimizer]
ScheduleFactory = Callable[[Optimizer, int, int], LRScheduler]


class Sums:
    """Running sums of a few per-example figures, on the device: adding never waits for it."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self._total: Tensor | None = None
        self._examples = 0
        self._marked: tuple[Tensor | None, int] = (None, 0)

    def add(self, *values: Tensor, examples: int) -> None:
        """Adds sums over `examples` examples, one 0-d tensor for each name."""
        new = torch.stack([v.detach().float() for v in values])
        self._total = new if self._total is None else self._total.add_(new)
        self._examples += examples

    def read(self) -> tuple[dict[str, float], int]:
        """Means and number of examples since the last `clear`, over all processes.

        This is the one place that waits for the device; all processes come here together.
        """
        states = self.state()
        if states is None:
            return {}, 0
        *sums, count = (math.fsum(column) for column in zip(*states, strict=True))
        return {n: s / count for n, s in zip(self.names, sums, strict=True)}, int(count)

    def clear(self) -> None:
        self._total, self._examples = None, 0

    def mark(self) -> None:
        """Remembers what they are, for `rewind`."""
        self._marked = (None if self._total is None else self._total.clone(), self._examples)

    def rewind(self) -> None:
        """Takes back what was added since `mark`."""
        self._total, self._examples = self._marked

    def state(self) -> list[list[float]] | None:
        """The sums of each process and, last, its number of examples, for a checkpoint."""
        if self._total is None:
            return None
        mine = torch.cat([self._total, self._total.new_tensor([self._examples])])
        every = [mine]
        if dist.is_initialized():
            every = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
            dist.all_gather(every, mine)
        state: list[list[float]] = torch.stack(every).tolist()
        return state

    def restore(self, states: list[list[float]] | None, rank: int, device: torch.device) -> None:
        """Takes this process's share of a checkpoint's sums.

        Sums are kept apart by process, since adding them up in another order rounds differently.
        """
        self.clear()
        if states and rank < len(states):
            *sums, examples = states[rank]
            self._total, self._examples = torch.tensor(sums, device=device), int(examples)


class Task(L.LightningModule):
    """A model and what it learns; subclasses write the steps and `results`.

    Attributes:
        learns_from: the kind of its batches, as `DataModule.holds` says it; None: any.
        confusion_matrix: of the last evaluation, rows are the true classes; None where there are
            no classes, which are named by `class_names`.
        cross_entropy: how a training step ends where its logits are of a whole vocabulary, so that
            it is compiled where the model is: in single precision, which autocast wants of it, they
            and what is kept of them are the most memory that a step reads and writes. Else None.

    Args:
        model: the network.
        optimizer: makes the optimizer of a module; the second argument allows fused kernels.
        schedule: makes the schedule from the optimizer, the run's steps and an epoch's steps.
        figures: names of the per-example figures that `training_step` adds to `self.sums`.
    """

    learns_from: str | None = None

    def __init__(
        self,
        model: nn.Module,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        figures: tuple[str, ...],
    ) -> None:
        super().__init__()
        self.model = model
        self.confusion_matrix: Tensor | None = None
        self.cross_entropy: nn.CrossEntropyLoss | None = None
        self.class_names: list[str] = []
        self.sums = Sums(figures)
        self._make_optimizer = optimizer
        self._make_schedule = schedule
        self.train()

    def train(self, mode: bool = True) -> Self:
        """As of every module, but for what is frozen, which stays as it is in evaluation.

        Or else its batch norms would follow the data, and its dropout disturb what is learnt on
        top of it.
        """
        super().train(mode)
        if mode:
            for module in frozen_parts(self.model):
                module.eval()
        return self

    def on_fit_start(self) -> None:
        if frozen_parts(self.model):  # of which Lightning warns, since it may be an oversight
            warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_current_fx_name":  # Lightning's, forty times a step: past torch's slow checks
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def forward(self, *inputs: Any) -> Any:
        return self.model(*inputs)

    def blank_batch(self, facts: Facts, examples: int) -> Any:
        """A batch of the shapes that `training_step` takes, of zeros on torch's default device.

        Texts are as long as they may be. What a step costs is found from it.
        """
        raise NotImplementedError

    def tokens_per_example(self, facts: Facts) -> int | None:
        """How many tokens an example has, where all have as many."""
        return None

    def results(self, stage: str) -> dict[str, float]:
        """What was counted in the evaluation that ends, as `val/...` or `test/...`, over all
        processes; counting begins anew."""
        raise NotImplementedError

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.results("val"), logger=False, sync_dist=True)

    def on_test_epoch_end(self) -> None:
        self.log_dict(self.results("test"), logger=False, sync_dist=True)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips the norm of all gradients.

        Lightning's own refuses a fused optimizer in any mixed precision; what it fears, gradients
        that are still scaled, is only so in fp16, for which the optimizer is not fused.
        """
        if gradient_clip_val:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(parameters, gradient_clip_val)

    def optimizer_of(self, module: nn.Module, fused: bool) -> Optimizer:
        """The config's optimizer of a module's parameters."""
        return self._make_optimizer(module, fused)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        # Fused kernels unscale fp16 gradients themselves, which rules out clipping them before.
        fused = self.trainer.precision != "16-mixed" and self.device.type in ("cpu", "cuda")
        optimizer = self.optimizer_of(self.model, fused)
        self.trainer.fit_loop.setup_data()  # so that the length of an epoch is known
        batches = int(self.trainer.num_training_batches)
        self.steps_per_epoch = max(1, batches // self.trainer.accumulate_grad_batches)
        total = int(self.trainer.estimated_stepping_batches)
        schedule = self._make_schedule(optimizer, total, self.steps_per_epoch)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
