"""Statistics of a few repetitions: means with intervals, and the probability of improvement."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arclight.seeds import mix

Scores = Sequence[NDArray[np.float64]]  # for each stratum (column) the values of its repetitions

DRAWS = 5000  # bootstrap samples
FEWER_DRAWS = 2000  # for slower statistics
LEVEL = 0.95
MIN_FOR_IQM = 4  # repetitions; with fewer the interquartile mean is not meaningful


@dataclass(frozen=True)
class Spread:
    """Statistics of the values of one row.

    Attributes:
        n: number of values.
        mean: mean over the columns' means.
        deviation: sample standard deviation within the columns; None for a single value.
        low, high: the 95% interval of the mean; None for a single value.
        iqm: the interquartile mean; None for fewer than four values.
    """

    n: int
    mean: float
    deviation: float | None
    low: float | None
    high: float | None
    iqm: float | None


def spread(scores: Scores) -> Spread | None:
    """The statistics of one or several columns, with equal weights; None if there are no values."""
    scores = [values for values in scores if len(values)]
    if not scores:
        return None
    n = sum(len(values) for values in scores)
    mean = mean_of(scores)
    if max(len(values) for values in scores) < 2:
        return Spread(n, mean, None, None, None, None)
    squares = sum(float(((v - v.mean()) ** 2).sum()) for v in scores)
    deviation = (squares / max(1, n - len(scores))) ** 0.5
    low, high = interval(scores)
    return Spread(n, mean, deviation, low, high, iqm(scores) if n >= MIN_FOR_IQM else None)


def mean_of(scores: Scores) -> float:
    """The mean of the columns' means."""
    return float(np.mean([values.mean() for values in scores]))


def iqm(scores: Scores) -> float:
    """The mean of the middle half of all values (Agarwal et al., 2021)."""
    from scipy.stats import trim_mean

    return float(trim_mean(np.concatenate(list(scores)), 0.25))


def interval(scores: Scores) -> tuple[float, float]:
    """The percentile interval of the mean from a bootstrap (Efron and Tibshirani, 1993).

    The bootstrap is stratified by column. Its random numbers are always the same.
    """
    random = _random()
    drawn = [values[random.integers(0, len(values), (DRAWS, len(values)))] for values in scores]
    return _ends(np.mean([values.mean(1) for values in drawn], axis=0))


def improvement(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The probability that a run of the first is better than one of the second; ties count half.

    It is the Mann-Whitney U divided by the number of pairs (Agarwal et al., 2021).
    """
    return float(_improvements(first[None], second[None])[0])


def _improvements(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """The improvement of each row of `(draws, n)`."""
    above = np.sign(first[:, :, None] - second[:, None, :])
    found: NDArray[np.float64] = (above.mean((1, 2)) + 1) / 2
    return found


def improvement_interval(
    pairs: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> tuple[float, float, float]:
    """Probability of improvement over the columns, and its 95% interval.

    Args:
        pairs: for each column the values of both, by seed; seeds are resampled in pairs.
    """
    random, found = _random(), []
    for first, second in pairs:
        chosen = random.integers(0, len(first), (FEWER_DRAWS, len(first)))
        found.append(_improvements(first[chosen], second[chosen]))
    value = float(np.mean([improvement(first, second) for first, second in pairs]))
    return (value, *_ends(np.mean(found, axis=0)))


def _random() -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=mix("bootstrap", 0)))


def _ends(found: NDArray[np.float64]) -> tuple[float, float]:
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return float(low), float(high)


def holm(values: Sequence[float]) -> list[float]:
    """p-values with Holm's correction for multiple tests (Holm, 1979)."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    corrected, largest = [0.0] * len(values), 0.0
    for place, i in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - place) * values[i]))
        corrected[i] = largest
    return corrected
