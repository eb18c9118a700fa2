"""Knowledge distillation: learn from labels, and from a teacher's predictions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arclight.errors import UserError
from arclight.ranges import Positive, Share
from arclight.tasks.question import Question, Rows, label_rows
from arclight.tasks.scores import ClassScores
from arclight.tasks.task import OptimizerFactory, ScheduleFactory
from arclight.tasks.usage import Usage
from arclight_zoo.gallery.distillation.teacher import Teacher
from arclight_zoo.pixels.image_facts import ImageFacts
from arclight_zoo.pixels.questions import image_batches
from arclight_zoo.pixels.task import PixelTask
from arclight_zoo.pixels.usage import CLASS_ANSWER, row_usage

Batch = tuple[Tensor, Tensor]


class Distillation(PixelTask):
    """A student learns from labels and from a teacher's softened probabilities (Hinton et al.,
    2015).

    The teacher is only needed for training; checkpoints and exports do not contain it. The cost
    estimate of a step covers the student only.

    Args:
        model: the student, images `(batch, channels, height, width)` to logits `(batch, classes)`.
        facts: about the data.
        optimizer: see `Task`.
        schedule: see `Task`.
        teacher: run directory of a classifier of the same images; None: train one first.
        teacher_run: run directory for that teacher; it is trained only once.
        teacher_overrides: config overrides of train.py for that run.
        weight: of the teacher in the loss; 0: no teacher.
        temperature: divides the logits of both, to soften their probabilities.
    """

    learns_from = "labelled images"

    def __init__(
        self,
        model: nn.Module,
        facts: ImageFacts,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        teacher: str | None = None,
        teacher_run: str = "runs/teacher",
        teacher_overrides: Sequence[str] = (),
        weight: Share = 0.9,
        temperature: Positive = 4.0,
    ) -> None:
        train_metrics = ("loss", "accuracy")
        super().__init__(
            model.to(memory_format=torch.channels_last), optimizer, schedule, train_metrics
        )
        self.named, self.teacher_run = teacher, teacher_run
        self.teacher_overrides = teacher_overrides
        self.weight, self.temperature = weight, temperature
        self.class_names = list(facts.class_names)
        self.scores = ClassScores(facts.num_classes)
        self._teacher: tuple[Teacher, ...] = ()  # a tuple, so that it is not a submodule

    def setup(self, stage: str) -> None:
        if stage != "fit" or not self.weight or self._teacher:
            return
        device = self.trainer.strategy.root_device
        words = list(self.teacher_overrides) if self.named is None else None
        self._teacher = (Teacher(self.named or self.teacher_run, words, self.known(), device),)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self._teacher:
            checkpoint["teacher"] = self._teacher[0].digest()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self._teacher and checkpoint.get("teacher") != self._teacher[0].digest():
            raise UserError(
                f"The teacher {self.named or self.teacher_run} has other weights than when this "
                "run started: put the old ones back, or start a new run."
            )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, targets = batch  # classes (batch,) or, mixed, soft targets (batch, classes)
        logits = self.model(images)
        loss = F.cross_entropy(logits, targets)
        for teacher in self._teacher:
            apart = divergence(logits, teacher(images), self.temperature)
            loss = (1 - self.weight) * loss + self.weight * apart
        classes = targets if targets.ndim == 1 else targets.argmax(1)
        correct = (logits.detach().argmax(1) == classes).sum()
        self.sums.add(loss.detach() * len(images), correct, examples=len(images))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        images, classes = batch
        logits = self.model(images)
        self.scores.add(logits, classes)
        self.keep_classes(logits, classes)

    test_step = validation_step

    def results(self, stage: str) -> dict[str, float]:
        metrics, self.confusion_matrix = self.scores.read(stage)
        return metrics

    # Predictions of a finished run

    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Class probabilities `(batch, classes)`."""
        logits: Tensor = self.model(batch)
        return logits.float().softmax(1)

    def usage(self, run: Path, config: dict[str, Any]) -> Usage:
        return row_usage(self.known(), CLASS_ANSWER)

    def answer(self, question: Question) -> Rows:
        """The predicted label of each image, and the probability of each class."""
        facts = self.known()
        rows = [["file", "label", *facts.class_names]]
        for files, images in image_batches(question, facts, self.device):
            rows += label_rows(files, self.predict_step(images, 0), facts.class_names)
        return rows


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """The KL divergence of the student's softened probabilities from the teacher's, `()`.

    It is multiplied by the squared temperature, so that its gradients have the scale of those of
    the labels.

    Args:
        student: logits `(batch, classes)`.
        teacher: logits `(batch, classes)`.
        temperature: divides both.
    """
    found = F.log_softmax(student.float() / temperature, 1)
    wanted = F.log_softmax(teacher.float() / temperature, 1)
    apart = F.kl_div(found, wanted, reduction="batchmean", log_target=True)
    return apart * temperature**2
