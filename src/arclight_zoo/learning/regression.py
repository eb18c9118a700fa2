"""Metrics and a plot for regression."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from arclight.canvas import figure, save

__all__ = ["draw_values", "regression_scores"]

PANELS = 4  # at most


def regression_scores(found: Tensor, targets: Tensor) -> dict[str, float]:
    """Mean absolute error and R2, as means over the values; both `(examples, values)`.

    The R2 of a constant target is 1 if all predictions are exact, else 0, as in scikit-learn.
    """
    found, targets = found.double(), targets.double()
    rest = (targets - found).square().sum(0)
    spread = (targets - targets.mean(0)).square().sum(0)
    constant = (rest == 0).double()
    r2 = torch.where(spread > 0, 1 - rest / spread.where(spread > 0, 1.0), constant)
    return {"mae": float((targets - found).abs().mean()), "r2": float(r2.mean())}


def draw_values(found: Tensor, targets: Tensor, names: Sequence[str], target: Path) -> Path:
    """Plots predictions over targets, with a panel for each of the first four values.

    Args:
        found: predictions, `(examples, values)`.
        targets: `(examples, values)`.
        names: of the values.
        target: the file to write.
    """
    count = min(PANELS, targets.shape[1])
    drawn, axes = figure(count, 4.5)
    for i, axis in enumerate(axes):
        true, guess = targets[:, i].numpy(), found[:, i].numpy()
        low, high = float(true.min()), float(true.max())
        axis.plot([low, high], [low, high], color="grey", linewidth=1)
        axis.scatter(true, guess, s=12, alpha=0.6)
        axis.set(xlabel=f"{names[i]}, true", ylabel="predicted")
        axis.grid(alpha=0.3)
    return save(drawn, target)
