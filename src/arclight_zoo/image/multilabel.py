"""Which of several classes an image shows: none, one or many."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.functional.classification import multilabel_average_precision

from arclight.data.facts import Facts
from arclight.tasks.question import Question, Rows
from arclight.tasks.scores import ExactSum
from arclight.tasks.task import OptimizerFactory, ScheduleFactory
from arclight_zoo.image.base import Batch, ImageTask
from arclight_zoo.learning.collected import Collected
from arclight_zoo.learning.losses import require_no_parameters
from arclight_zoo.pixels.image_facts import ImageFacts
from arclight_zoo.pixels.questions import image_batches
from arclight_zoo.pixels.targets import HOLDS

THRESHOLD = 0.5  # the probability from which on a class is said to be there


class ImageMultilabel(ImageTask):
    """Binary cross-entropy of each class by itself.

    Evaluation gives the mean loss; `map`, the mean over classes of the average precision; and the
    F1 at a probability of 0.5, as the mean over classes (`f1`) and over all decisions (`f1_micro`).
    Means over classes are over those that occur: in the targets, or for F1 in either.

    Args:
        model: `(batch, channels, height, width)` to logits `(batch, classes)`.
        optimizer: see `Task`.
        schedule: see `Task`.
        facts: what is known of the data.
        loss: of logits and float targets, both `(batch, classes)`; its mean over the batch. None:
            binary cross-entropy.
        metrics: measured in evaluation too, on probabilities and targets of 0 and 1, both
            `(batch, classes)`.
    """

    learns_from = HOLDS["multilabel"]

    def __init__(
        self,
        model: nn.Module,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        facts: ImageFacts | None = None,
        loss: nn.Module | None = None,
        metrics: Mapping[str, Metric] | None = None,
    ) -> None:
        super().__init__(model, optimizer, schedule, facts, metrics=metrics)
        self.loss = loss or nn.BCEWithLogitsLoss()
        require_no_parameters(self.loss)
        self.loss_sum, self.seen = ExactSum(), Collected()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, targets = batch  # (batch, classes), of 0 and 1 or, mixed, shares
        loss: Tensor = self.loss(self.model(images), targets.float())
        self.sums.add(loss.detach() * len(images), examples=len(images))
        return loss

    def blank_batch(self, facts: Facts, examples: int) -> Batch:
        images = self.blank_images(facts, examples)
        assert isinstance(facts, ImageFacts)
        return images, torch.zeros(examples, facts.num_classes, dtype=torch.uint8)

    def evaluate(self, images: Tensor, targets: Tensor) -> None:
        logits = self.model(images).float()
        self.loss_sum.update(self.loss(logits, targets.float()) * len(images))
        chances = logits.sigmoid()
        self.seen.update(chances, targets)
        self.measure(chances, targets.long())

    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """The probability of each class `(batch, classes)`."""
        logits: Tensor = self.model(batch)
        return logits.float().sigmoid()

    def results(self, stage: str) -> dict[str, float]:
        chances, targets = self.seen.compute()
        found = {"loss": self.loss_sum.compute() / len(targets), **scores(chances, targets.bool())}
        self.loss_sum.reset()
        self.seen.reset()
        return {f"{stage}/{name}": value for name, value in found.items()}

    def answer(self, question: Question) -> Rows:
        """The classes of each image with `|` between them, and the probability of each class."""
        facts = self.known()
        names = facts.class_names
        rows = [["file", "labels", *names]]
        for files, images in image_batches(question, facts, self.device):
            for file, chances in zip(files, self.predict_step(images, 0).tolist(), strict=True):
                there = [n for n, p in zip(names, chances, strict=True) if p >= THRESHOLD]
                rows.append([file, "|".join(there), *(f"{p:.6f}" for p in chances)])
        return rows


def scores(chances: Tensor, targets: Tensor) -> dict[str, float]:
    """Mean average precision, macro and micro F1.

    Args:
        chances: probabilities `(examples, classes)`.
        targets: which classes are there, bool `(examples, classes)`.
    """
    there = targets.any(0)
    precision = torch.zeros(())
    if there.any():
        precision = multilabel_average_precision(
            chances[:, there], targets[:, there].long(), int(there.sum()), validate_args=False
        )
    said = chances >= THRESHOLD
    right = (said & targets).sum(0).double()
    either = (said.sum(0) + targets.sum(0)).double()
    f1 = (2 * right / either)[either > 0]
    return {
        "map": float(precision),
        "f1": float(f1.mean()) if len(f1) else 0.0,
        "f1_micro": float(2 * right.sum() / either.sum().clamp(min=1)),
    }
