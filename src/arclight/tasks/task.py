"""The base class of tasks: a model, what it learns, and how a run asks it."""

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import Metric

from arclight.data.facts import Facts
from arclight.errors import UserError
from arclight.models.frozen import frozen_parts
from arclight.tasks.pictures import log_picture
from arclight.tasks.predictions import Predictions
from arclight.tasks.question import Question, Rows
from arclight.tasks.sums import Sums

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Answer", "OptimizerFactory", "ScheduleFactory", "Task"]

OptimizerFactory = Callable[..., Optimizer]
"""Called as `optimizer(module, fused)`, or `optimizer(parameters)` as a partial would be."""

ScheduleFactory = Callable[..., LRScheduler | dict[str, Any]]
"""Called as `schedule(optimizer, total_steps, steps_per_epoch)`, see `configure_optimizers`."""

Answer = Callable[[dict[str, Tensor]], Sequence[Tensor]]
"""What was exported, opened again: outputs for inputs by name."""


class Task(L.LightningModule):
    """A model and what it learns; subclasses write the steps and `results`.

    Any `LightningModule` trains in a run directory. This one adds metrics of training that never
    wait for the device (`self.sums`), the config's optimizer and schedule, and answers to what a
    run is asked: what a step costs, predictions, exports.

    Attributes:
        learns_from: the kind of its batches, as `DataModule.holds` says it; None: any.
        padded: examples are filled up to the longest of their batch, so that the arithmetic of a
            step is not known beforehand.
        parts_differ: how a step with accumulated gradients differs from the same step at once, as
            a clause; None: it does not.
        facts: what is known of the data; set before training and with a finished run.
        confusion_matrix: of the last evaluation, rows are the true classes; None where there are
            no classes, which are named by `class_names`.
        predictions: what `keep` has kept of the test that is going on; None: there is none.
        cross_entropy: the loss over a whole vocabulary where a training step ends with one, so
            that it is compiled with the model: its logits are the most memory that a step moves.

    Args:
        model: the network.
        optimizer: makes the optimizer of a module; the second argument allows fused kernels.
        schedule: makes the schedule from the optimizer, the run's steps and an epoch's steps.
        figures: names of the per-example metrics that `training_step` adds to `self.sums`.
        metrics: measured in evaluation too, by name: `self.measure` updates them.
    """

    learns_from: str | None = None
    padded: bool = False
    parts_differ: str | None = None
    facts: Facts | None = None

    def __init__(
        self,
        model: nn.Module,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        figures: tuple[str, ...] = ("loss",),
        metrics: Mapping[str, Metric] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.confusion_matrix: Tensor | None = None
        self.cross_entropy: nn.CrossEntropyLoss | None = None
        self.class_names: list[str] = []
        self.predictions: Predictions | None = None
        self.sums = Sums(figures)
        self.metrics = _by_name(metrics or {})
        self._make_optimizer = optimizer
        self._make_schedule = schedule
        self.train()

    def train(self, mode: bool = True) -> Self:
        """As of every module, except that frozen parts stay in evaluation mode.

        Otherwise their batch norms would follow the data, and their dropout disturb what is learnt
        on top of them.
        """
        super().train(mode)
        if mode:
            for module in frozen_parts(self.model):
                module.eval()
        return self

    def on_fit_start(self) -> None:
        if frozen_parts(self.model):  # of which Lightning warns, since it may be an oversight
            warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")

    def forward(self, *inputs: Any) -> Any:
        return self.model(*inputs)

    # What a run asks before it trains

    def blank_batch(self, facts: Facts, examples: int) -> Any:
        """A batch of the shapes that `training_step` takes, of zeros on torch's default device.

        Texts are as long as they may be. The costs of a step are counted with it. A task that does
        not define it is given a real batch instead.
        """
        raise NotImplementedError

    def step_loss(self, batch: Any) -> Tensor:
        """The loss of a step, with which its costs are counted; no trainer is there yet.

        By default what `training_step` returns. A task that steps its optimizers itself adds up its
        losses here.
        """
        loss: Any = self.training_step(batch, 0)
        return loss if isinstance(loss, Tensor) else loss["loss"]

    def tokens_per_example(self, facts: Facts) -> int | None:
        """How many tokens an example has, where all have as many."""
        return None

    # What is measured

    def measure(self, predictions: Tensor, targets: Tensor) -> None:
        """Updates the config's `task.metrics`; call it in `validation_step` and `test_step`.

        Args:
            predictions: as torchmetrics takes them, such as logits `(batch, classes)`.
            targets: what is true, such as classes `(batch,)`.
        """
        for metric in self.metrics.values():
            metric.update(predictions, targets)  # type: ignore[operator]

    def keep(self, targets: Tensor, predictions: Tensor, scores: Tensor) -> None:
        """Keeps a batch of the test for `predictions.parquet`; call it in `test_step`.

        Runs are compared example by example with it. Outside of a run's test it does nothing.

        Args:
            targets: what is true, such as classes `(batch,)`.
            predictions: what the model says, of the same kind, `(batch,)`.
            scores: how sure it is, such as the probability of the predicted class, `(batch,)`.
        """
        if self.predictions is not None:
            self.predictions.add(targets, predictions, scores)

    def keep_classes(self, logits: Tensor, classes: Tensor) -> None:
        """`keep` of a classifier: logits `(batch, classes)` and what is true `(batch,)`."""
        if self.predictions is not None:
            scores, predicted = logits.float().softmax(1).max(1)
            self.keep(classes, predicted, scores)

    def results(self, stage: str) -> dict[str, float]:
        """The metrics of the evaluation that ends, over all processes; counting begins anew.

        Args:
            stage: "val" or "test", which names begin with: `val/loss`.
        """
        raise NotImplementedError

    def _evaluated(self, stage: str) -> dict[str, Any]:
        found: dict[str, Any] = dict(self.results(stage))
        for name, metric in self.metrics.items():
            value: Any = metric.compute()  # type: ignore[operator]
            new = _named(f"{stage}/{name}", value)
            if hidden := sorted(found.keys() & new):
                raise UserError(
                    f"task.metrics.{name} would hide the {hidden[0]} of {type(self).__name__}: "
                    "give it another name."
                )
            found |= new
            metric.reset()  # type: ignore[operator]
        return found

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self._evaluated("val"), sync_dist=True)

    def on_test_epoch_end(self) -> None:
        self.log_dict(self._evaluated("test"), sync_dist=True)

    # How it is optimized

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips the norm of all gradients, or each by its value (`gradient_clip_algorithm`).

        Lightning's own refuses a fused optimizer in any mixed precision. Gradients that are still
        scaled, for which it does so, there are only in fp16, where the optimizer is not fused.
        """
        if not gradient_clip_val:
            return
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        if gradient_clip_algorithm == "value":
            nn.utils.clip_grad_value_(parameters, gradient_clip_val)
        else:
            nn.utils.clip_grad_norm_(parameters, gradient_clip_val)

    def optimizer_of(self, module: nn.Module, fused: bool) -> Optimizer:
        """The config's optimizer of a module's parameters."""
        return self._make_optimizer(module, fused)

    @property
    def may_fuse(self) -> bool:
        """Whether the optimizer may take fused kernels here.

        These unscale fp16 gradients themselves, which rules out clipping them before.
        """
        return self.trainer.precision != "16-mixed" and self.device.type in ("cpu", "cuda")

    def scheduled(self, optimizer: Optimizer) -> OptimizerLRSchedulerConfig:
        """An optimizer with the config's schedule, as Lightning takes them.

        A schedule is stepped after each optimizer step, unless its factory gives back Lightning's
        dictionary with another `interval`; in manual optimization the task steps it.
        """
        self.trainer.fit_loop.setup_data()  # so that the length of an epoch is known
        batches = int(self.trainer.num_training_batches)
        self.steps_per_epoch = max(1, batches // self.trainer.accumulate_grad_batches)
        total = int(self.trainer.estimated_stepping_batches)
        schedule: Any = self._make_schedule(optimizer, total, self.steps_per_epoch)
        if not isinstance(schedule, dict):
            schedule = {"scheduler": schedule, "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def configure_optimizers(self) -> Any:
        """The config's optimizer of the model, with the config's schedule.

        A task of several networks returns a list: `self.scheduled(self.optimizer_of(part,
        self.may_fuse))` for each of them.
        """
        return self.scheduled(self.optimizer_of(self.model, self.may_fuse))

    # What people look at

    def pictures(self, folder: Path) -> Sequence[Path]:
        """Draws what the last test has seen, beside the learning curves; called on one process.

        `arclight.canvas` has figures without a window. The loggers get the files too.

        Args:
            folder: the run's `plots`.

        Returns:
            The files.
        """
        return []

    def draw_example(self, axis: "Axes", batch: Any, place: int) -> None:
        """Draws an example as people see it, without its answer: `mistakes.png` is made of these.

        A task that does not define it has no such picture.

        Args:
            axis: matplotlib's, without ticks and frame.
            batch: as `test_step` is given it, on the CPU.
            place: of the example in the batch.
        """
        raise NotImplementedError

    def show(self, picture: Path) -> None:
        """Gives a picture to the run's loggers now, such as samples after each epoch."""
        if self.trainer.is_global_zero:
            step = self.global_step
            if not self.automatic_optimization:  # where each optimizer counts
                step = self.trainer.fit_loop.epoch_loop.total_batch_idx + 1
            log_picture(self.loggers, picture, step)

    # What a finished run is asked

    def example_inputs(self, examples: int, draw: torch.Generator) -> dict[str, Tensor]:
        """Random inputs of the model by name, of the shapes that the run's data have.

        An export is traced with them and compared on them. By default what comes first in
        `blank_batch`, filled with random numbers.

        Args:
            examples: of the batch.
            draw: where random numbers come from.
        """
        assert self.facts is not None
        batch = self.blank_batch(self.facts, examples)
        names = [
            name
            for name, p in inspect.signature(self.model.forward).parameters.items()
            if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        tensors = batch if isinstance(batch, tuple | list) else (batch,)
        inputs: dict[str, Tensor] = {}
        for name, blank in zip(names, tensors, strict=False):
            drawn = torch.randn(blank.shape, generator=draw, dtype=torch.float32)
            inputs[name] = drawn.to(blank.dtype) if blank.is_floating_point() else blank
        return inputs

    def answer(self, question: Question) -> Rows:
        """A header, and a row for each input, for `scripts/predict.py`.

        Raises:
            UserError: the task answers nothing, or there is nothing that it takes.
        """
        raise UserError(
            f"{type(self).__name__} does not say what it answers: define "
            "`answer(self, question)`, which returns a header and a row for each input."
        )

    def continue_text(
        self,
        folder: Path,
        prompt: str,
        length: int,
        temperature: float,
        top_k: int | None,
        seed: int,
    ) -> str:
        """The prompt and what the model makes of it, for `scripts/generate.py`.

        Args:
            folder: the run's directory, which keeps the tokenizer.
            prompt: the text to continue; empty: a new line.
            length: tokens to add.
            temperature: below 1 prefers the likely; 0 takes the likeliest.
            top_k: draw among so many of the likeliest; None: among all.
            seed: of the draws.

        Raises:
            UserError: the task continues no text.
        """
        raise UserError(
            f"{folder} is a run of {type(self).__name__}, which continues no text; type "
            f"python scripts/predict.py run={folder} input=FILE."
        )

    def save_hf(self, folder: Path, run: Path) -> Answer:
        """Writes the model as a folder that transformers or timm opens, and opens it again.

        Args:
            folder: to be made.
            run: the run's directory.

        Raises:
            UserError: neither library has such a model.
        """
        raise UserError(
            f"transformers and timm have no model like {type(self.model).__name__}: type "
            "format=safetensors, onnx or torch_export."
        )


def _by_name(metrics: Mapping[str, Metric]) -> nn.ModuleDict:
    for name in metrics:
        if "." in name or hasattr(nn.ModuleDict, name):
            raise UserError(f"task.metrics.{name} is no name that torch takes: choose another.")
    return nn.ModuleDict(dict(metrics))


def _named(name: str, value: Any) -> dict[str, Any]:
    """A metric's value under its name; of several (a dict, or one a class), each under its own."""
    if isinstance(value, Mapping):
        return {f"{name}_{key}": one for key, one in value.items()}
    if isinstance(value, Tensor) and value.ndim:
        return {f"{name}_{i}": one for i, one in enumerate(value.flatten())}
    return {name: value}
