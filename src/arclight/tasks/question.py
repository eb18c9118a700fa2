"""What `scripts/predict.py` asks a trained task."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

__all__ = ["Question", "Rows", "label_rows"]

Rows = list[list[str]]


@dataclass
class Question:
    """Inputs to answer, and where the run that answers keeps what it needs for that.

    Attributes:
        place: the file or folder that was given as `input`.
        folder: the run's directory.
        config: the run's frozen config.
        gaps: inputs that get no answer, such as blank lines and unreadable images: the name to
            print, by the input's number. `answer` fills it in.
        faults: what is wrong with those that cannot be read, a sentence each.
        files: where files go that are part of the answer, such as masks; it is made when it is
            needed. None: the answer is for the terminal.
    """

    place: Path
    folder: Path
    config: dict[str, Any]
    gaps: dict[int, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    files: Path | None = None


def label_rows(names: Sequence[str], chances: Tensor, classes: Sequence[str]) -> Rows:
    """Name, likeliest class and the probability of each class `(batch, classes)`."""
    best = chances.argmax(1).tolist()
    pairs = zip(names, best, chances.tolist(), strict=True)
    return [[name, classes[label], *(f"{p:.6f}" for p in row)] for name, label, row in pairs]
