"""The pictures of a run: learning curves and the confusion matrix."""

from pathlib import Path

import numpy as np
import torch

from arclight.report.canvas import figure, save
from arclight.training.loggers import read_metrics


def curves(metrics_file: Path, target: Path) -> Path | None:
    """Training and validation loss and accuracy over steps, from a `metrics.csv`."""
    rows = read_metrics(metrics_file)
    names = [n for n in ("loss", "accuracy") if any(r.get(f"train/{n}") for r in rows)]
    if not names:
        return None
    drawn, axes = figure(len(names), 4.8, layout=None)
    drawn.subplots_adjust(0.15 / len(names), 0.11, 1 - 0.04 / len(names), 0.97)
    for axis, name in zip(axes, names, strict=True):
        for stage in ("train", "val"):
            key = f"{stage}/{name}"
            points = [(int(r["step"]), float(r[key])) for r in rows if r.get(key)]
            if points:
                alone = "." if len(points) == 1 else ""  # a line of one point is not seen
                axis.plot(*zip(*points, strict=True), marker=alone, label=stage)
        axis.set(xlabel="step", ylabel=name)
        axis.grid(alpha=0.3)
        axis.legend()
    return save(drawn, target)


def confusion_matrix(matrix: torch.Tensor, class_names: list[str], target: Path) -> Path:
    """Rows are the true classes, columns the predicted, colours shares of the row."""
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
