"""Verdicts on differences with a threshold for practical relevance, and their statistical power.

A difference is better (or worse) if the whole 95% interval of its mean is beyond the threshold. It
is equal if the 90% interval is within the threshold, which corresponds to two one-sided tests at 5%
(Schuirmann, 1987; Lakens, 2017). Otherwise it is undecided.
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
MAX_REPETITIONS = 1000  # largest number of repetitions that is searched for
_SHARES = (np.arange(400) + 0.5) / 400  # quantiles for the distribution of a deviation


@dataclass(frozen=True)
class Difference:
    """Statistics of the differences in some repetitions.

    Attributes:
        n: number of repetitions.
        mean: of the differences.
        deviation: their sample standard deviation; None for fewer than two.
        low, high: the 95% interval of the mean (Student's t); None for fewer than two.
        threshold: differences up to this do not matter.
        values: the p-value of each verdict; 1 if there are too few repetitions.
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
        """The verdict with the smallest p-value."""
        return min(self.values, key=lambda region: self.values[region])

    @property
    def p(self) -> float:
        """The p-value of the likeliest verdict."""
        return self.values[self.likeliest]

    def verdict(self, p: float | None = None) -> Verdict:
        """The verdict at the 5% level.

        Args:
            p: the p-value of the likeliest verdict, perhaps corrected; None: uncorrected.
        """
        return self.likeliest if (self.p if p is None else p) <= ALPHA else "undecided"


def difference(
    values: NDArray[np.float64], threshold: float, resolution: float = 0.0
) -> Difference:
    """Computes the statistics of differences.

    Args:
        values: the differences, `(repetitions,)`.
        threshold: differences up to this do not matter.
        resolution: the step between two possible values of the metric. It limits the deviation
            from below, because a coarse metric can hide differences.
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
    """The difference of a number without spread, such as the number of parameters."""
    within = abs(value) <= tolerance * (1 + 1e-12)
    region: Region = "equal" if within else "better" if value > 0 else "worse"
    found: dict[Region, float] = {
        one: 0.0 if one == region else 1.0 for one in ("better", "worse", "equal")
    }
    return Difference(1, value, 0.0, value, value, tolerance, found)


def power(
    region: Region, n: int, effect: float, deviation: float, threshold: float, alpha: float = ALPHA
) -> float:
    """The probability of a verdict with this many repetitions.

    It is exact for normally distributed differences: the probability that their mean is far enough
    from the threshold, averaged over the chi-squared distribution of their deviation.

    Args:
        region: the verdict.
        n: number of repetitions.
        effect: the true mean of the differences.
        deviation: their true standard deviation.
        threshold: differences up to this do not matter.
        alpha: the significance level, two-sided for better and worse.
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
    """The smallest number of repetitions with 80% power; None: more than 1000."""

    def enough(n: int) -> bool:
        return power(region, n, effect, deviation, threshold, alpha) >= POWER

    if not enough(MAX_REPETITIONS):
        return None
    low, high = 1, 2
    while not enough(high):
        low, high = high, min(MAX_REPETITIONS, high * 2)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def resolution(values: Sequence[NDArray[np.float64]]) -> float:
    """The smallest difference between two distinct values; 0 if all are equal."""
    steps = np.diff(np.unique(np.concatenate([np.asarray(v, float) for v in values])))
    return float(steps[steps > 1e-9].min(initial=np.inf)) if (steps > 1e-9).any() else 0.0
