"""The base class of tasks: a model, its loss and metrics, and its predictions."""

import inspect
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from arclight.data.facts import Facts
from arclight.errors import UserError
from arclight.models.frozen import frozen_parts
from arclight.tasks.optimization import ConfigOptimization, OptimizerFactory, ScheduleFactory
from arclight.tasks.pictures import log_picture
from arclight.tasks.predictions import Predictions
from arclight.tasks.sums import Sums
from arclight.tasks.uses import Answer, Uses

__all__ = ["Answer", "OptimizerFactory", "ScheduleFactory", "Task"]


class Task(ConfigOptimization, Uses):
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

    def show(self, picture: Path) -> None:
        """Logs an image file, such as samples after each epoch."""
        if self.trainer.is_global_zero:
            step = self.global_step
            if not self.automatic_optimization:  # `global_step` counts every optimizer
                step = self.trainer.fit_loop.epoch_loop.total_batch_idx + 1
            log_picture(self.loggers, picture, step)

    # Inputs of the model

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

    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        """Axes of the model's inputs that may have any length, by input: their numbers and names.

        The first axis of each, the batch, is one in any case. Lengths go up to those of
        `example_inputs`.
        """
        return {}


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
