"""The inputs that `scripts/predict.py` gives to a trained task."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

__all__ = ["Question", "Rows", "label_rows"]

Rows = list[list[str]]
"""A header and a row for each input."""


@dataclass
class Question:
    """The inputs of a prediction, and the run that predicts.

    Attributes:
        place: the file or folder given as `input`.
        folder: the run directory.
        config: the run's frozen config.
        gaps: inputs without a prediction, such as blank lines and unreadable images: the name to
            print, by the input's index. `answer` fills it in.
        faults: a sentence for each input that cannot be read.
        files: a folder for files that are part of the prediction, such as masks; created when
            needed. None: the predictions are printed to the terminal.
    """

    place: Path
    folder: Path
    config: dict[str, Any]
    gaps: dict[int, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    files: Path | None = None


def label_rows(names: Sequence[str], chances: Tensor, classes: Sequence[str]) -> Rows:
    """Rows with the name, the most probable class and the probability of each class.

    Args:
        names: of the inputs.
        chances: probabilities `(batch, classes)`.
        classes: names of the classes.
    """
    best = chances.argmax(1).tolist()
    pairs = zip(names, best, chances.tolist(), strict=True)
    return [[name, classes[label], *(f"{p:.6f}" for p in row)] for name, label, row in pairs]
