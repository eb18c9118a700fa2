"""Plots of a classifier's test: the confusion matrix, scores of each class, calibration."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from arclight.canvas import figure, save
from arclight.report.examples import Examples

MAX_CLASSES = 30  # classes whose scores are drawn, the worst ones
BINS = 10  # intervals of scores, all of equal width


def confusion_matrix(matrix: torch.Tensor, class_names: Sequence[str], target: Path) -> Path:
    """Draws the confusion matrix: rows are true classes, columns predicted ones.

    Args:
        matrix: counts `(classes, classes)`.
    """
    counts = matrix.numpy()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    few = len(class_names) <= 20
    drawn, (axis,) = figure(1, 5.5 if few else 8.0)
    axis.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    axis.set(xlabel="predicted", ylabel="true")
    if few:
        places = range(len(class_names))
        axis.set_xticks(places, class_names, rotation=45, ha="right")
        axis.set_yticks(places, class_names)
        for i, j in np.ndindex(*counts.shape):
            if counts[i, j]:
                colour = "white" if shares[i, j] > 0.5 else "black"
                axis.text(j, i, str(counts[i, j]), ha="center", va="center", color=colour)
    return save(drawn, target)


def class_scores(matrix: torch.Tensor, class_names: Sequence[str], target: Path) -> Path:
    """Draws precision, recall and F1 of each class, the worst F1 at the top; at most 30 classes.

    A class that was never predicted has precision 0; a class without examples is left out.
    """
    counts = matrix.numpy().astype(float)
    right = counts.diagonal()
    precision = right / np.maximum(counts.sum(0), 1)
    recall = right / np.maximum(counts.sum(1), 1)
    f1 = 2 * right / np.maximum(counts.sum(0) + counts.sum(1), 1)
    there = np.flatnonzero(counts.sum(1))
    shown = there[np.argsort(f1[there], kind="stable")][:MAX_CLASSES][::-1]
    drawn, (axis,) = figure(1, 5.5)
    places, both = range(len(shown)), np.stack([precision[shown], recall[shown]])
    axis.hlines(places, both.min(0), both.max(0), color="lightgrey", linewidth=5, zorder=1)
    axis.plot(both[0], places, ">", color="tab:blue", label="precision")
    axis.plot(both[1], places, "<", color="tab:orange", label="recall")
    axis.plot(f1[shown], places, "|", color="black", markersize=10, label="F1")
    axis.set(xlabel="score", ylabel="class (examples)", ylim=(-0.7, len(shown) - 0.3))
    axis.set_yticks(places, [f"{class_names[c]} ({counts[c].sum():.0f})" for c in shown])
    axis.grid(axis="x", alpha=0.3)
    drawn.legend(loc="outside upper center", ncols=3, frameon=False)
    if len(shown) < len(there):
        axis.set_title(f"the worst {len(shown)} of {len(there)} classes", fontsize="medium")
    return save(drawn, target)


def calibration_error(found: Examples) -> tuple[float, NDArray[np.float64]]:
    """The expected calibration error (Guo et al., 2017).

    Args:
        found: predictions with scores from 0 to 1.

    Returns:
        The error, and for each non-empty bin of scores `(bins, 3)`: mean score, accuracy, number
        of examples.
    """
    bins = np.minimum((found.score * BINS).astype(int), BINS - 1)
    rows = np.array(
        [
            (found.score[bins == b].mean(), found.right[bins == b].mean(), (bins == b).sum())
            for b in np.unique(bins)
        ]
    )
    error = np.average(np.abs(rows[:, 0] - rows[:, 1]), weights=rows[:, 2])
    return float(error), rows


def calibration(found: Examples, target: Path) -> Path:
    """Draws a reliability diagram: the accuracy of predictions against their score."""
    error, rows = calibration_error(found)
    drawn, (axis,) = figure(1, 5.0, layout=None)
    drawn.subplots_adjust(0.1, 0.11, 0.97, 0.94)
    axis.plot([0, 1], [0, 1], "--", color="grey", linewidth=1)
    share = rows[:, 2] / rows[:, 2].sum()
    edges = np.minimum((rows[:, 0] * BINS).astype(int), BINS - 1) / BINS
    axis.bar(edges, share, 1 / BINS, align="edge", color="lightgrey", label="share of examples")
    axis.plot(rows[:, 0], rows[:, 1], "o-", color="tab:blue", label="accuracy")
    axis.set(xlabel="score of the prediction", xlim=(0, 1), ylim=(0, 1.02))
    axis.set_title(f"expected calibration error {error:.3f}")
    axis.grid(alpha=0.3)
    axis.legend(loc="upper left")
    return save(drawn, target)
