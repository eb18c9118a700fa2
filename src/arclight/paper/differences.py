"""Is a difference larger than what matters? Verdicts by a practical threshold, and their power.

The verdicts are those of an interval: better (or worse) if all of the 95% interval of the mean
difference lies beyond the threshold, equal if the 90% interval lies within it, which are two
one-sided tests at 5% (Schuirmann, 1987; Lakens, 2017); else undecided.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Region = Literal["better", "worse", "equal"]
Verdict = Literal["better", "worse", "equal", "undecided"]

ALPHA = 0.05
POWER = 0.8
MOST = 1000  # repetitions; more are not searched for
_SHARES = (np.arange(400) + 0.5) / 400  # where the distribution of a deviation is looked at


@dataclass(frozen=True)
class Difference:
    """What the differences of some repetitions say.

    Attributes:
        n: how many there are.
        mean: of the differences.
        deviation: of a sample of them; None of fewer than two.
        low: end of the mean's 95% interval (Student's t); None of fewer than two.
        high: likewise.
        threshold: differences no larger than this do not matter.
        values: of p for each verdict; 1 where there are too few.
    """

    n: int
    mean: float
    deviation: float | None
    low: float | None
    high: float | None
    threshold: float
    values: dict[Region, float]

    @property
    def likeliest(self) -> Region:
        """The verdict that the differences come closest to."""
        return min(self.values, key=lambda region: self.values[region])

    @property
    def p(self) -> float:
        """Of the likeliest verdict."""
        return self.values[self.likeliest]

    def verdict(self, p: float | None = None) -> Verdict:
        """With the likeliest verdict's p, which may have been corrected."""
        return self.likeliest if (self.p if p is None else p) <= ALPHA else "undecided"


def difference(
    values: NDArray[np.float64], threshold: float, resolution: float = 0.0
) -> Difference:
    """Judges differences, one for each repetition.

    Args:
        values: the differences.
        threshold: what does not matter.
        resolution: the step between two possible values of the metric; differences that are equal
            only because it is coarse are not taken for certain.
    """
    from scipy.stats import t as student

    n = len(values)
    nothing: dict[Region, float] = dict.fromkeys(("better", "worse", "equal"), 1.0)
    mean = float(values.mean()) if n else float("nan")
    if n < 2:
        return Difference(n, mean, None, None, None, threshold, nothing)
    deviation = max(float(values.std(ddof=1)), resolution / 12**0.5)
    error = deviation / n**0.5

    def above(bound: float) -> float:
        """One-sided p of the hypothesis that the mean is not above the bound."""
        if error == 0:
            return 0.0 if mean > bound else 1.0
        return float(student.sf((mean - bound) / error, n - 1))

    def below(bound: float) -> float:
        if error == 0:
            return 0.0 if mean < bound else 1.0
        return float(student.cdf((mean - bound) / error, n - 1))

    found: dict[Region, float] = {
        "better": min(1.0, 2 * above(threshold)),
        "worse": min(1.0, 2 * below(-threshold)),
        "equal": max(above(-threshold), below(threshold)),
    }
    half = float(student.isf(ALPHA / 2, n - 1)) * error
    return Difference(n, mean, deviation, mean - half, mean + half, threshold, found)


def exactly(value: float, tolerance: float) -> Difference:
    """The difference of a number that has no spread, such as a count of parameters."""
    within = abs(value) <= tolerance * (1 + 1e-12)
    region: Region = "equal" if within else "better" if value > 0 else "worse"
    found: dict[Region, float] = {
        one: 0.0 if one == region else 1.0 for one in ("better", "worse", "equal")
    }
    return Difference(1, value, 0.0, value, value, tolerance, found)


def power(
    region: Region, n: int, effect: float, deviation: float, threshold: float, alpha: float = ALPHA
) -> float:
    """The probability of a verdict with so many repetitions.

    It is exact for normal differences: over the distribution of their deviation (chi-squared), the
    probability that the mean lies far enough from the threshold.

    Args:
        region: the verdict.
        n: repetitions.
        effect: the true mean of the differences.
        deviation: their true deviation.
        threshold: what does not matter.
        alpha: the level, two-sided for better and worse.
    """
    from scipy.stats import chi2, norm
    from scipy.stats import t as student

    if n < 2:
        return 0.0
    if region == "worse":
        return power("better", n, -effect, deviation, threshold, alpha)
    if deviation <= 0:
        return float(effect > threshold if region == "better" else abs(effect) < threshold)
    error = deviation / n**0.5
    seen = error * np.sqrt(chi2.ppf(_SHARES, n - 1) / (n - 1))
    if region == "better":
        needed = threshold + student.isf(alpha / 2, n - 1) * seen
        return float(norm.sf((needed - effect) / error).mean())
    room = threshold - student.isf(alpha, n - 1) * seen
    inside = norm.cdf((room - effect) / error) - norm.cdf((-room - effect) / error)
    return float(np.where(room > 0, inside, 0.0).mean())


def needed(
    region: Region, effect: float, deviation: float, threshold: float, alpha: float = ALPHA
) -> int | None:
    """The fewest repetitions with 80% power; None: more than anyone would make."""

    def enough(n: int) -> bool:
        return power(region, n, effect, deviation, threshold, alpha) >= POWER

    if not enough(MOST):
        return None
    low, high = 1, 2
    while not enough(high):
        low, high = high, min(MOST, high * 2)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def resolution(values: Sequence[NDArray[np.float64]]) -> float:
    """The smallest step between any two of the values; 0 where all are equal."""
    steps = np.diff(np.unique(np.concatenate([np.asarray(v, float) for v in values])))
    return float(steps[steps > 1e-9].min(initial=np.inf)) if (steps > 1e-9).any() else 0.0
