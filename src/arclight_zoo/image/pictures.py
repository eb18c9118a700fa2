"""Pictures of what was found in images."""

from pathlib import Path

import torch
from torch import Tensor

from arclight.canvas import figure, save

FEW = 12  # curves that still have names


def precision_recall(
    chances: Tensor, targets: Tensor, class_names: list[str], target: Path
) -> Path:
    """Precision over recall, a curve for each class that occurs, and its average precision.

    Args:
        chances: probabilities `(examples, classes)`.
        targets: which classes are there, bool `(examples, classes)`.
        class_names: of the columns.
        target: the file.
    """
    drawn, (axis,) = figure(1, 5.5)
    there = targets.any(0).nonzero().flatten().tolist()
    for c in there:
        order = chances[:, c].argsort(descending=True, stable=True)
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
