"""Exact sums for evaluation, and the metrics of a classifier."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

__all__ = ["ClassScores", "ConfusionMatrix", "ExactSum", "VocabularyLoss"]


class ExactSum(Metric):
    """A compensated sum with nearly twice single precision, also on devices without float64.

    The rounding error of each addition is summed separately (Neumaier, 1974). torchmetrics' own sum
    ignores added ones above 17 million.
    """

    higher_is_better = None
    full_state_update = False
    total: Tensor
    rest: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("total", "rest"):
            self.add_state(name, torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, value: Tensor | float) -> None:
        """Adds a number, or a tensor `()` of any kind."""
        value = value.float() if isinstance(value, Tensor) else torch.full_like(self.total, value)
        total = self.total + value
        first = self.total.abs() >= value.abs()
        large, small = torch.where(first, self.total, value), torch.where(first, value, self.total)
        self.rest = self.rest + ((large - total) + small)
        self.total = total

    def compute(self) -> float:
        """The sum over all processes; waits for the device."""
        total, rest = torch.stack([self.total, self.rest]).tolist()
        return float(total + rest)


class VocabularyLoss(nn.CrossEntropyLoss):
    """torch's cross-entropy as a module of our own: older `torch.compile` skips torch's modules."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(input, target, reduction=self.reduction)


class ConfusionMatrix(Metric):
    """A confusion matrix: rows are the true classes, columns the predicted ones.

    With deterministic algorithms torchmetrics' own needs a table `(batch, classes**2)`: 8 GB for
    1,000 classes and 1,000 images. Sums of integers do not depend on the order.
    """

    higher_is_better = None
    full_state_update = False
    counts: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        counts = torch.zeros(num_classes, num_classes, dtype=torch.long)
        self.add_state("counts", counts, dist_reduce_fx="sum")

    def update(self, logits: Tensor, classes: Tensor) -> None:
        """Adds a batch of logits `(batch, classes)` and true classes `(batch,)`."""
        places = classes * len(self.counts) + logits.argmax(1)
        self.counts.view(-1).scatter_add_(0, places, torch.ones_like(places))

    def compute(self) -> Tensor:
        """The counts over all processes, `(classes, classes)`."""
        return self.counts


class ClassScores(nn.Module):
    """Metrics of a classifier: mean loss, accuracy, macro F1, and top-5 accuracy.

    Accuracy and F1 are computed from one confusion matrix, so they are exact with any number of
    processes. Top-5 accuracy needs more than five classes.

    Args:
        num_classes: None: taken from the first logits.
    """

    confusion: ConfusionMatrix
    top5: MulticlassAccuracy | None

    def __init__(self, num_classes: int | None = None) -> None:
        super().__init__()
        self.loss_sum = ExactSum()
        if num_classes is not None:
            self._count(num_classes)

    def _count(self, num_classes: int) -> None:
        self.confusion = ConfusionMatrix(num_classes)
        self.top5 = (
            MulticlassAccuracy(num_classes, top_k=5, average="micro", validate_args=False)
            if num_classes > 5
            else None
        )

    def add(self, logits: Tensor, classes: Tensor, loss: Tensor | None = None) -> None:
        """Adds a batch.

        Args:
            logits: `(batch, classes)`.
            classes: true classes, `(batch,)`.
            loss: the summed loss of the batch, `()`; None: cross-entropy.
        """
        logits = logits.float()
        if not hasattr(self, "confusion"):
            self._count(logits.shape[1])
            self.to(logits.device)
        if loss is None:
            loss = F.cross_entropy(logits, classes, reduction="sum")
        self.loss_sum.update(loss)
        self.confusion.update(logits, classes)
        if self.top5 is not None:
            self.top5.update(logits, classes)

    def read(self, stage: str) -> tuple[dict[str, float], Tensor]:
        """The metrics since the last call, over all processes, and the confusion matrix.

        Args:
            stage: prefix of the names, such as "val".
        """
        counts = self.confusion.compute().cpu()
        matrix = counts.double()
        right, labelled, predicted = matrix.diag(), matrix.sum(1), matrix.sum(0)
        seen = labelled + predicted > 0
        metrics = {
            f"{stage}/loss": self.loss_sum.compute() / matrix.sum().item(),
            f"{stage}/accuracy": (right.sum() / matrix.sum()).item(),
            f"{stage}/f1": (2 * right / (labelled + predicted))[seen].mean().item(),
        }
        if self.top5 is not None:
            metrics[f"{stage}/top5"] = self.top5.compute().item()
            self.top5.reset()
        self.loss_sum.reset()
        self.confusion.reset()
        return metrics, counts
