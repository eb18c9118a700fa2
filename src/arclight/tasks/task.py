"""The base class of tasks: a model, its loss and metrics, and its predictions."""

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
from arclight.tasks.usage import HubUsage, Usage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Answer", "OptimizerFactory", "ScheduleFactory", "Task"]

OptimizerFactory = Callable[..., Optimizer]
"""Called as `optimizer(module, fused)`, or as `optimizer(parameters)` like a partial."""

ScheduleFactory = Callable[..., LRScheduler | dict[str, Any]]
"""Called as `schedule(optimizer, total_steps, steps_per_epoch)`, see `configure_optimizers`."""

Answer = Callable[[dict[str, Tensor]], Sequence[Tensor]]
"""An exported model, loaded again: returns outputs for inputs by name."""


class Task(L.LightningModule):
    """A model with its loss and metrics; subclasses define the steps and `results`.

    Any `LightningModule` can be trained. This class adds training metrics that never wait for the
    device (`self.sums`), the optimizer and schedule of the config, and what other features need: an
    estimate of the costs of a step, predictions, exports.

    Attributes:
        learns_from: the kind of its batches, as in `DataModule.holds`; None: any.
        padded: examples are padded to the longest one of their batch, so the FLOPs of a step
            cannot be estimated.
        parts_differ: how a step with accumulated gradients differs from one with the whole batch,
            as a clause; None: it does not.
        facts: facts of the data; set before training, and when a finished run is loaded.
        confusion_matrix: of the last evaluation, rows are the true classes; None if there are no
            classes.
        class_names: names of the classes.
        predictions: the predictions of the current test, added by `keep`; None outside a test.
        cross_entropy: the loss over a vocabulary, if a training step ends with one. It is compiled
            together with the model, because its logits take the most memory bandwidth.

    Args:
        model: the network.
        optimizer: creates the optimizer of a module; the second argument allows fused kernels.
        schedule: creates the schedule from the optimizer, the steps of the run and of an epoch.
        train_metrics: names of the per-example metrics that `training_step` adds to `self.sums`.
        metrics: further metrics of the evaluation by name; `self.measure` updates them.
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
        train_metrics: tuple[str, ...] = ("loss",),
        metrics: Mapping[str, Metric] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.confusion_matrix: Tensor | None = None
        self.cross_entropy: nn.CrossEntropyLoss | None = None
        self.class_names: list[str] = []
        self.predictions: Predictions | None = None
        self.sums = Sums(train_metrics)
        self.metrics = _by_name(metrics or {})
        self._make_optimizer = optimizer
        self._make_schedule = schedule
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Sets training mode, except for frozen parts: they stay in evaluation mode.

        Otherwise their batch-norm statistics would change, and their dropout would disturb the
        training of the other parts.
        """
        super().train(mode)
        if mode:
            for module in frozen_parts(self.model):
                module.eval()
        return self

    def on_fit_start(self) -> None:
        if frozen_parts(self.model):  # Lightning warns about them, but they are intended
            warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")

    def forward(self, *inputs: Any) -> Any:
        return self.model(*inputs)

    # Used before training

    def blank_batch(self, facts: Facts, examples: int) -> Any:
        """A batch of zeros for `training_step`, on torch's default device.

        It is used to estimate the costs of a step; texts have their maximum length. If a task does
        not define it, a real batch is used instead.

        Args:
            facts: facts of the data.
            examples: the size of the batch.
        """
        raise NotImplementedError

    def step_loss(self, batch: Any) -> Tensor:
        """The loss of a step, to estimate its costs; there is no trainer yet.

        By default the result of `training_step`. A task with manual optimization returns the sum of
        its losses here.
        """
        loss: Any = self.training_step(batch, 0)
        return loss if isinstance(loss, Tensor) else loss["loss"]

    def tokens_per_example(self, facts: Facts) -> int | None:
        """The number of tokens in an example; None if examples differ or have no tokens."""
        return None

    # Metrics and predictions

    def measure(self, predictions: Tensor, targets: Tensor) -> None:
        """Updates the config's `task.metrics`; call it in `validation_step` and `test_step`.

        Args:
            predictions: as torchmetrics takes them, such as logits `(batch, classes)`.
            targets: the true values, such as classes `(batch,)`.
        """
        for metric in self.metrics.values():
            metric.update(predictions, targets)  # type: ignore[operator]

    def keep(self, targets: Tensor, predictions: Tensor, scores: Tensor) -> None:
        """Adds a batch of the test to `predictions.parquet`; call it in `test_step`.

        The file allows comparing runs example by example. Outside a test this does nothing.

        Args:
            targets: the true values, such as classes `(batch,)`.
            predictions: the predictions, of the same kind, `(batch,)`.
            scores: the confidence, such as the probability of the predicted class, `(batch,)`.
        """
        if self.predictions is not None:
            self.predictions.add(targets, predictions, scores)

    def keep_classes(self, logits: Tensor, classes: Tensor) -> None:
        """`keep` for a classifier: logits `(batch, classes)` and true classes `(batch,)`."""
        if self.predictions is not None:
            scores, predicted = logits.float().softmax(1).max(1)
            self.keep(classes, predicted, scores)

    def results(self, stage: str) -> dict[str, float]:
        """The metrics of the evaluation that has just ended, over all processes; resets them.

        Args:
            stage: "val" or "test", the prefix of the names, such as `val/loss`.
        """
        raise NotImplementedError

    def _evaluated(self, stage: str) -> dict[str, Any]:
        found: dict[str, Any] = dict(self.results(stage))
        for name, metric in self.metrics.items():
            value: Any = metric.compute()  # type: ignore[operator]
            new = _named(f"{stage}/{name}", value)
            if hidden := sorted(found.keys() & new):
                raise UserError(
                    f"task.metrics.{name} would overwrite {hidden[0]} of {type(self).__name__}: "
                    "choose another name."
                )
            found |= new
            metric.reset()  # type: ignore[operator]
        return found

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self._evaluated("val"), sync_dist=True)

    def on_test_epoch_end(self) -> None:
        self.log_dict(self._evaluated("test"), sync_dist=True)

    # Optimization

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

    # Plots

    def pictures(self, folder: Path) -> Sequence[Path]:
        """Draws further plots of the last test; called on one process.

        `arclight.canvas` creates figures without a window. The plots are also logged.

        Args:
            folder: the run's `plots`.

        Returns:
            The image files.
        """
        return []

    def draw_example(self, axis: "Axes", batch: Any, place: int) -> None:
        """Draws an example without its target, for `mistakes.png`.

        Without this method there is no such plot.

        Args:
            axis: matplotlib's axes, without ticks and frame.
            batch: a batch as `test_step` receives it, on the CPU.
            place: the index of the example in the batch.
        """
        raise NotImplementedError

    def show(self, picture: Path) -> None:
        """Logs an image file, such as samples after each epoch."""
        if self.trainer.is_global_zero:
            step = self.global_step
            if not self.automatic_optimization:  # `global_step` counts every optimizer
                step = self.trainer.fit_loop.epoch_loop.total_batch_idx + 1
            log_picture(self.loggers, picture, step)

    # Using a trained model

    def example_inputs(self, examples: int, draw: torch.Generator) -> dict[str, Tensor]:
        """Random inputs of the model by name, with the shapes of the run's data.

        Exports are traced and verified with them. By default the first entries of `blank_batch`,
        filled with random numbers.

        Args:
            examples: the size of the batch.
            draw: the random generator.
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
        """Predictions for `scripts/predict.py`: a header, and a row for each input.

        Raises:
            UserError: the task does not define predictions, or cannot use the inputs.
        """
        raise UserError(
            f"{type(self).__name__} does not define predictions: define "
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
        """The prompt and its continuation by the model, for `scripts/generate.py`.

        Args:
            folder: the run directory, which has the tokenizer.
            prompt: the text to continue; empty: a new line.
            length: number of tokens to generate.
            temperature: values below 1 favour probable tokens; 0 always takes the most probable.
            top_k: sample from this many most probable tokens; None: from all.
            seed: of the random generator.

        Raises:
            UserError: the task does not generate text.
        """
        raise UserError(
            f"{folder} is a run of {type(self).__name__}, which does not generate text; type "
            f"python scripts/predict.py run={folder} input=FILE."
        )

    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        """Axes of the model's inputs that may have any length, by input: their numbers and names.

        The first axis of each, the batch, is one in any case. Lengths go up to those of
        `example_inputs`.
        """
        return {}

    def usage(self, run: Path, config: dict[str, Any]) -> Usage:
        """Example code that predicts on new inputs with the exported program, like `answer`.

        `scripts/export.py` writes it beside the export. If a task does not define it, the example
        reads a file of arrays.

        Args:
            run: the run's directory.
            config: the run's config.
        """
        raise NotImplementedError

    def hub_usage(self, run: Path, config: dict[str, Any]) -> HubUsage:
        """Like `usage`, with the folder of `save_hf` and the library that opens it."""
        raise NotImplementedError

    def save_hf(self, folder: Path, run: Path) -> Answer:
        """Saves the model in the format of transformers or timm, and loads it again.

        Args:
            folder: the folder to create.
            run: the run directory.

        Returns:
            The loaded model, as a function of inputs by name.

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
            raise UserError(f"torch does not accept the name task.metrics.{name}: choose another.")
    return nn.ModuleDict(dict(metrics))


def _named(name: str, value: Any) -> dict[str, Any]:
    """A metric's value by its name; several values (a dict, or one per class) get names each."""
    if isinstance(value, Mapping):
        return {f"{name}_{key}": one for key, one in value.items()}
    if isinstance(value, Tensor) and value.ndim:
        return {f"{name}_{i}": one for i, one in enumerate(value.flatten())}
    return {name: value}
