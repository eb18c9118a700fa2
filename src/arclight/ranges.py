"""Annotations for numbers in a range and texts of a form; configs are checked against them before
anything is imported.
"""

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
    """A range of numbers.

    Attributes:
        words: the range in words.
        whole: whether only integers fit.
        low: the lower bound.
        high: the upper bound, which fits too.
        open: whether `low` itself does not fit.
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
    """A form of texts.

    Attributes:
        words: the form in words.
        pattern: a regular expression that the whole text must match.
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
"""The ranges and forms, by the name of the annotation in the source of a signature."""

Count = Annotated[int, RANGES["Count"]]
Natural = Annotated[int, RANGES["Natural"]]
Positive = Annotated[float, RANGES["Positive"]]
NonNegative = Annotated[float, RANGES["NonNegative"]]
Share = Annotated[float, RANGES["Share"]]
Part = Annotated[float, RANGES["Part"]]
Seed = Annotated[int, RANGES["Seed"]]
"""A seed for the generators of numpy and scikit-learn."""
Pixels = Annotated[int, RANGES["Pixels"]]
"""The side of an image; 65535 is the largest side of a JPEG."""
Length = Annotated[str, RANGES["Length"]]
Duration = Annotated[str, RANGES["Duration"]]
