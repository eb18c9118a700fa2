"""Image classification with any backbone that maps images to logits."""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn
from torchmetrics import Metric

from arclight.ranges import Share
from arclight.tasks.question import Question, Rows, label_rows
from arclight.tasks.scores import ClassScores
from arclight.tasks.task import OptimizerFactory, ScheduleFactory
from arclight_zoo.image.base import Batch, ImageTask
from arclight_zoo.learning.losses import classification_loss
from arclight_zoo.pixels.image_facts import ImageFacts
from arclight_zoo.pixels.questions import image_batches
from arclight_zoo.pixels.usage import CLASS_ANSWER


class ImageClassification(ImageTask):
    """Image classification with cross-entropy, label smoothing and soft targets, or another loss.

    Label smoothing and class weights apply to training only: evaluation reports the plain mean of
    the cross-entropy, or of `loss`.

    Args:
        model: `(batch, channels, height, width)` to logits `(batch, classes)`.
        optimizer: see `Task`.
        schedule: see `Task`.
        facts: about the data; None: the number of classes is the number of the model's logits in
            the first evaluation, and class names are numbers.
        label_smoothing: fraction of the target spread over all classes (Szegedy et al., 2016).
        loss: of logits and targets, `(batch,)` or, mixed, `(batch, classes)`; its mean over the
            batch. None: cross-entropy.
        class_weights: weight of each class in the loss; `balanced`: inverse to its frequency.
        metrics: further metrics of evaluation, on probabilities `(batch, classes)` and classes
            `(batch,)`. (Not logits: torchmetrics would guess from the values of each batch whether
            they are logits or probabilities.)
    """

    learns_from = "labelled images"
    answer_code = CLASS_ANSWER

    def __init__(
        self,
        model: nn.Module,
        facts: ImageFacts | None,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        label_smoothing: Share = 0.0,
        loss: nn.Module | None = None,
        class_weights: Literal["balanced"] | list[float] | None = None,
        metrics: Mapping[str, Metric] | None = None,
    ) -> None:
        train_metrics = ("loss", "accuracy")
        super().__init__(model, facts, optimizer, schedule, train_metrics, metrics)
        classes, counts = (facts.num_classes, facts.class_counts) if facts else (None, [])
        self.loss = classification_loss(loss, label_smoothing, class_weights, counts, classes)
        self.evaluates_loss = loss is not None
        self.scores = ClassScores(classes)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, targets = batch  # classes (batch,) or, mixed, soft targets (batch, classes)
        logits = self.model(images)
        loss: Tensor = self.loss(logits, targets)
        classes = targets if targets.ndim == 1 else targets.argmax(1)
        correct = (logits.detach().argmax(1) == classes).sum()
        self.sums.add(loss.detach() * len(images), correct, examples=len(images))
        return loss

    def evaluate(self, images: Tensor, targets: Tensor) -> None:
        logits = self.model(images).float()
        loss = self.loss(logits, targets) * len(logits) if self.evaluates_loss else None
        self.scores.add(logits, targets, loss)
        self.keep_classes(logits, targets)
        if self.metrics:
            self.measure(logits.softmax(1), targets)

    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Class probabilities `(batch, classes)`."""
        logits: Tensor = self.model(batch)
        return logits.float().softmax(1)

    def results(self, stage: str) -> dict[str, float]:
        metrics, self.confusion_matrix = self.scores.read(stage)
        self.class_names = self.class_names or list(map(str, range(len(self.confusion_matrix))))
        return metrics

    def answer(self, question: Question) -> Rows:
        """The predicted label of each image, and the probability of each class."""
        facts = self.known()
        rows = [["file", "label", *facts.class_names]]
        for files, images in image_batches(question, facts, self.device):
            rows += label_rows(files, self.predict_step(images, 0), facts.class_names)
        return rows
