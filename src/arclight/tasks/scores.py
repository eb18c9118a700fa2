"""What is counted in the evaluation of a classifier."""

import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import SumMetric
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix


class ClassScores(nn.Module):
    """One confusion matrix, from which accuracy and macro F1 follow exactly on any number of
    processes; the mean loss; and top-5 accuracy where there are more than five classes.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.confusion = MulticlassConfusionMatrix(num_classes, validate_args=False)
        self.loss_sum = SumMetric(nan_strategy="disable")  # looking for NaNs would wait each batch
        self.top5 = (
            MulticlassAccuracy(num_classes, top_k=5, average="micro", validate_args=False)
            if num_classes > 5
            else None
        )

    def add(self, logits: Tensor, classes: Tensor) -> None:
        """Logits `(batch, classes)` and what is true `(batch,)`."""
        logits = logits.float()
        self.loss_sum.update(F.cross_entropy(logits, classes, reduction="sum"))
        self.confusion.update(logits, classes)
        if self.top5 is not None:
            self.top5.update(logits, classes)

    def read(self, stage: str) -> tuple[dict[str, float], Tensor]:
        """The figures since the last time, over all processes, and the confusion matrix."""
        counts = self.confusion.compute()
        matrix = counts.double()
        right, labelled, predicted = matrix.diag(), matrix.sum(1), matrix.sum(0)
        seen = labelled + predicted > 0
        figures = {
            f"{stage}/loss": (self.loss_sum.compute() / matrix.sum()).item(),
            f"{stage}/accuracy": (right.sum() / matrix.sum()).item(),
            f"{stage}/f1": (2 * right / (labelled + predicted))[seen].mean().item(),
        }
        if self.top5 is not None:
            figures[f"{stage}/top5"] = self.top5.compute().item()
            self.top5.reset()
        self.loss_sum.reset()
        self.confusion.reset()
        return figures, counts.cpu()
