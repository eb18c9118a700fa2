"""Plots of multilabel predictions."""

from pathlib import Path

import torch
from torch import Tensor

from arclight.canvas import figure, save

FEW = 12  # most curves with a legend


def precision_recall(
    probabilities: Tensor, targets: Tensor, class_names: list[str], target: Path
) -> Path:
    """Plots the precision-recall curve and average precision of each class with positive targets.

    Args:
        probabilities: probabilities `(examples, classes)`.
        targets: true classes, bool `(examples, classes)`.
        class_names: of the columns.
        target: the file to write.
    """
    drawn, (axis,) = figure(1, 5.5)
    there = targets.any(0).nonzero().flatten().tolist()
    for c in there:
        order = probabilities[:, c].argsort(descending=True, stable=True)
        right = targets[order, c].double().cumsum(0)
        precision = right / torch.arange(1, len(right) + 1)
        recall = right / right[-1]
        average = (precision * targets[order, c]).sum() / right[-1]
        axis.plot(recall.numpy(), precision.numpy(), label=f"{class_names[c]}  AP {average:.3f}")
    axis.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    axis.grid(alpha=0.3)
    if 0 < len(there) <= FEW:
        axis.legend(fontsize="small")
    return save(drawn, target)
