"""What is counted in evaluation: exact sums, and the figures of a classifier."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

__all__ = ["ClassScores", "ConfusionMatrix", "ExactSum", "VocabularyLoss"]


class ExactSum(Metric):
    """A sum of many numbers to nearly twice single precision, on devices without float64 too.

    What each addition rounds off is summed beside it (Neumaier, 1974). Torchmetrics' own sum loses
    single tokens from 17 million on.
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
        """The sum over all processes, for which the device is waited for."""
        total, rest = torch.stack([self.total, self.rest]).tolist()
        return float(total + rest)


class VocabularyLoss(nn.CrossEntropyLoss):
    """torch's, as `torch.compile` sees it in any version: older ones pass over torch's modules."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(input, target, reduction=self.reduction)


class ConfusionMatrix(Metric):
    """How often each class, a row, was taken for each, a column.

    Torchmetrics' own counts by a table of `(batch, classes**2)` wherever torch is to be
    deterministic: 8 GB of 1,000 classes and 1,000 images. Whole numbers add up alike in any order.
    """

    higher_is_better = None
    full_state_update = False
    counts: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        counts = torch.zeros(num_classes, num_classes, dtype=torch.long)
        self.add_state("counts", counts, dist_reduce_fx="sum")

    def update(self, logits: Tensor, classes: Tensor) -> None:
        """Logits `(batch, classes)` and what is true `(batch,)`."""
        places = classes * len(self.counts) + logits.argmax(1)
        self.counts.view(-1).scatter_add_(0, places, torch.ones_like(places))

    def compute(self) -> Tensor:
        """The counts over all processes, `(classes, classes)`."""
        return self.counts


class ClassScores(nn.Module):
    """One confusion matrix, from which accuracy and macro F1 follow exactly on any number of
    processes; the mean loss; and top-5 accuracy where there are more than five classes.

    Args:
        num_classes: None: as many as the first logits have.
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
        """Counts a batch.

        Args:
            logits: `(batch, classes)`.
            classes: what is true, `(batch,)`.
            loss: the batch's sum, `()`; None: cross-entropy.
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
        """The figures since the last time, over all processes, and the confusion matrix."""
        counts = self.confusion.compute().cpu()
        matrix = counts.double()
        right, labelled, predicted = matrix.diag(), matrix.sum(1), matrix.sum(0)
        seen = labelled + predicted > 0
        figures = {
            f"{stage}/loss": self.loss_sum.compute() / matrix.sum().item(),
            f"{stage}/accuracy": (right.sum() / matrix.sum()).item(),
            f"{stage}/f1": (2 * right / (labelled + predicted))[seen].mean().item(),
        }
        if self.top5 is not None:
            figures[f"{stage}/top5"] = self.top5.compute().item()
            self.top5.reset()
        self.loss_sum.reset()
        self.confusion.reset()
        return figures, counts
