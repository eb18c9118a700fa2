"""Numbers of a range, and texts of a form, as annotations: a config is held to them before anything
is imported."""

import math
import re
from dataclasses import dataclass
from typing import Annotated

__all__ = [
    "Count",
    "Duration",
    "Length",
    "Natural",
    "NonNegative",
    "Part",
    "Pixels",
    "Positive",
    "Seed",
    "Share",
]


@dataclass(frozen=True)
class Range:
    """Which numbers fit.

    Attributes:
        words: as a person would say it.
        whole: whether they have no fraction.
        low: the least.
        high: the greatest.
        open: whether `low` itself is left out.
    """

    words: str
    whole: bool = False
    low: float = 0.0
    high: float = math.inf
    open: bool = False

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        fits = self.low < value if self.open else self.low <= value
        return fits and value <= self.high and math.isfinite(value)


@dataclass(frozen=True)
class Form:
    """Which texts fit.

    Attributes:
        words: as a person would say it.
        pattern: a regular expression of the whole text.
    """

    words: str
    pattern: str

    def __contains__(self, value: object) -> bool:
        return isinstance(value, str) and re.fullmatch(self.pattern, value) is not None


RANGES: dict[str, Range | Form] = {
    "Count": Range("a whole number of 1 or more", whole=True, low=1),
    "Natural": Range("a whole number of 0 or more", whole=True),
    "Positive": Range("a number above 0", open=True),
    "NonNegative": Range("a number of 0 or more"),
    "Share": Range("a number from 0 to 1", high=1.0),
    "Part": Range("a number above 0, up to 1", high=1.0, open=True),
    "Seed": Range("a whole number from 0 to 4294967295", whole=True, high=2**32 - 1),
    "Pixels": Range("a whole number from 1 to 65535", whole=True, low=1, high=65535),
    "Length": Form(
        'a length such as "500 steps" or "5 epochs"', r"\s*\d*\.?\d+\s*(steps?|epochs?)\s*"
    ),
    "Duration": Form(
        'a time such as "00:12:00:00" (days, hours, minutes, seconds)', r"\d+:\d\d:\d\d:\d\d"
    ),
}
"""By the name of the annotation, as it stands in a signature's source."""

Count = Annotated[int, RANGES["Count"]]
Natural = Annotated[int, RANGES["Natural"]]
Positive = Annotated[float, RANGES["Positive"]]
NonNegative = Annotated[float, RANGES["NonNegative"]]
Share = Annotated[float, RANGES["Share"]]
Part = Annotated[float, RANGES["Part"]]
Seed = Annotated[int, RANGES["Seed"]]
"""What numpy's and scikit-learn's generators take."""
Pixels = Annotated[int, RANGES["Pixels"]]
"""A side of an image; that of a JPEG has no more."""
Length = Annotated[str, RANGES["Length"]]
Duration = Annotated[str, RANGES["Duration"]]
