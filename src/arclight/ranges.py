"""Numbers of a range, as annotations: a config is held to them before anything is imported."""

import math
from dataclasses import dataclass
from typing import Annotated

__all__ = ["Count", "Natural", "NonNegative", "Positive", "Share"]


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


RANGES = {
    "Count": Range("a whole number of 1 or more", whole=True, low=1),
    "Natural": Range("a whole number of 0 or more", whole=True),
    "Positive": Range("a number above 0", open=True),
    "NonNegative": Range("a number of 0 or more"),
    "Share": Range("a number from 0 to 1", high=1.0),
}
"""By the name of the annotation, as it stands in a signature's source."""

Count = Annotated[int, RANGES["Count"]]
Natural = Annotated[int, RANGES["Natural"]]
Positive = Annotated[float, RANGES["Positive"]]
NonNegative = Annotated[float, RANGES["NonNegative"]]
Share = Annotated[float, RANGES["Share"]]
