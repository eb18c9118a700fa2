"""The base of tasks that predict several numbers per image: independent logits, or values."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from arclight.data.facts import Facts
from arclight.tasks.question import Question, Rows
from arclight.tasks.scores import ExactSum
from arclight.tasks.task import OptimizerFactory, ScheduleFactory
from arclight_zoo.image.base import Batch, ImageTask
from arclight_zoo.learning.collected import Collected
from arclight_zoo.learning.losses import require_no_parameters
from arclight_zoo.pixels.image_facts import ImageFacts
from arclight_zoo.pixels.questions import image_batches


class RowOfOutputs(ImageTask):
    """A task with a loss of the model's outputs and float targets, both `(batch, outputs)`.

    Evaluation reports the mean loss, and `scores` of all examples together. Subclasses define the
    meaning of outputs in `meaning`, `scores` and `answer_row`.

    Attributes:
        usual_loss: the loss if the config sets none.
        columns: of a table of predictions, between the file and the outputs' names.

    Args:
        model: `(batch, channels, height, width)` to `(batch, outputs)`.
        optimizer: see `Task`.
        schedule: see `Task`.
        facts: about the data.
        loss: averaged over the batch; None: `usual_loss`.
        metrics: further metrics of evaluation; see `count`.
    """

    usual_loss: ClassVar[type[nn.Module]]
    columns: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        model: nn.Module,
        facts: ImageFacts | None,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        loss: nn.Module | None = None,
        metrics: Mapping[str, Metric] | None = None,
    ) -> None:
        super().__init__(model, facts, optimizer, schedule, metrics=metrics)
        self.loss = loss or self.usual_loss()
        require_no_parameters(self.loss)
        self.loss_sum, self.seen = ExactSum(), Collected()

    def meaning(self, outputs: Tensor) -> Tensor:
        """Converts the model's outputs to predictions, such as logits to probabilities."""
        return outputs

    def scores(self, found: Tensor, targets: Tensor) -> dict[str, float]:
        """Metrics over all examples, from predictions and targets `(examples, outputs)`."""
        raise NotImplementedError

    def count(self, found: Tensor, targets: Tensor) -> None:
        """Updates the configured metrics with a batch."""
        self.measure(found, targets)

    def answer_row(self, found: list[float], names: list[str]) -> list[str]:
        """The cells of an image's prediction after its file name."""
        raise NotImplementedError

    @property
    def names(self) -> list[str]:
        """The names of the outputs."""
        return self.class_names or [str(i) for i in range(self.last[0].shape[1])]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, targets = batch
        loss: Tensor = self.loss(self.model(images), targets.float())
        self.sums.add(loss.detach() * len(images), examples=len(images))
        return loss

    def blank_batch(self, facts: Facts, examples: int) -> Batch:
        images = self.blank_images(facts, examples)
        assert isinstance(facts, ImageFacts)
        return images, torch.zeros(examples, facts.num_classes)

    def evaluate(self, images: Tensor, targets: Tensor) -> None:
        outputs = self.model(images).float()
        self.loss_sum.update(self.loss(outputs, targets.float()) * len(images))
        found = self.meaning(outputs)
        self.seen.update(found, targets)
        self.count(found, targets)

    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Predictions `(batch, outputs)`."""
        outputs: Tensor = self.model(batch)
        return self.meaning(outputs.float())

    def results(self, stage: str) -> dict[str, float]:
        self.last = self.seen.compute()
        found, targets = self.last
        metrics = {"loss": self.loss_sum.compute() / len(targets), **self.scores(found, targets)}
        self.loss_sum.reset()
        self.seen.reset()
        return {f"{stage}/{name}": value for name, value in metrics.items()}

    def answer(self, question: Question) -> Rows:
        """One row of predictions per image."""
        facts = self.known()
        rows = [["file", *self.columns, *facts.class_names]]
        for files, images in image_batches(question, facts, self.device):
            for file, found in zip(files, self.predict_step(images, 0).tolist(), strict=True):
                rows.append([file, *self.answer_row(found, facts.class_names)])
        return rows
