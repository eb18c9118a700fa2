"""Image classification with any backbone that maps images to logits."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import SumMetric
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix

from arclight.data.facts import ImageFacts
from arclight.tasks.task import OptimizerFactory, ScheduleFactory, Task

Batch = tuple[Tensor, Tensor]


class ImageClassification(Task):
    """Cross-entropy with label smoothing and soft targets.

    Evaluation counts into one confusion matrix, from which accuracy and macro F1 follow exactly,
    on any number of processes; top-5 accuracy is added where there are more than five classes.

    Args:
        model: `(batch, channels, height, width)` to logits `(batch, classes)`.
        facts: what is known of the data.
        label_smoothing: share of the target spread over all classes (Szegedy et al., 2016).
    """

    def __init__(
        self,
        model: nn.Module,
        facts: ImageFacts,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        label_smoothing: float = 0.0,
    ) -> None:
        # Convolutions are faster with the channels of a pixel side by side (1.2x on CPUs, more on
        # tensor cores); the weights' layout is enough, what they compute takes it over.
        model = model.to(memory_format=torch.channels_last)
        super().__init__(model, optimizer, schedule, figures=("loss", "accuracy"))
        self.facts = facts
        self.label_smoothing = label_smoothing
        self.confusion = MulticlassConfusionMatrix(facts.num_classes, validate_args=False)
        self.loss_sum = SumMetric(nan_strategy="disable")  # looking for NaNs would wait each batch
        self.top5 = (
            MulticlassAccuracy(facts.num_classes, top_k=5, average="micro", validate_args=False)
            if facts.num_classes > 5
            else None
        )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, targets = batch  # classes (batch,) or, mixed, soft targets (batch, classes)
        logits = self.model(images)
        loss = F.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
        classes = targets if targets.ndim == 1 else targets.argmax(1)
        correct = (logits.detach().argmax(1) == classes).sum()
        self.sums.add(loss.detach() * len(images), correct, examples=len(images))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate(batch)

    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Class probabilities `(batch, classes)`."""
        logits: Tensor = self.model(batch)
        return logits.float().softmax(1)

    def _evaluate(self, batch: Batch) -> None:
        images, classes = batch
        logits = self.model(images).float()
        self.loss_sum.update(F.cross_entropy(logits, classes, reduction="sum"))
        self.confusion.update(logits, classes)
        if self.top5 is not None:
            self.top5.update(logits, classes)

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self._results("val"), logger=False, sync_dist=True)

    def on_test_epoch_end(self) -> None:
        self.confusion_matrix = self.confusion.compute().cpu()
        self.log_dict(self._results("test"), logger=False, sync_dist=True)

    def _results(self, stage: str) -> dict[str, float]:
        matrix = self.confusion.compute().double()
        right, labelled, predicted = matrix.diag(), matrix.sum(1), matrix.sum(0)
        seen = labelled + predicted > 0
        results = {
            f"{stage}/loss": (self.loss_sum.compute() / matrix.sum()).item(),
            f"{stage}/accuracy": (right.sum() / matrix.sum()).item(),
            f"{stage}/f1": (2 * right / (labelled + predicted))[seen].mean().item(),
        }
        if self.top5 is not None:
            results[f"{stage}/top5"] = self.top5.compute().item()
            self.top5.reset()
        self.loss_sum.reset()
        self.confusion.reset()
        return results
