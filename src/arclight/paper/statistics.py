"""Statistics of a few repetitions: means with intervals, and the probability of improvement."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arclight.seeds import mix

Scores = Sequence[NDArray[np.float64]]  # for each stratum (column) the values of its repetitions

DRAWS = 5000  # bootstrap samples
LEVEL = 0.95
FEW = 4  # repetitions below which an interquartile mean is the mean of nearly nothing


@dataclass(frozen=True)
class Spread:
    """What is said of the values of one row.

    Attributes:
        deviation: of a sample, within the columns; None of a single value.
        low: end of the 95% interval of the mean; None of a single value.
        high: likewise.
        iqm: the interquartile mean; None of fewer than four values.
    """

    n: int
    mean: float
    deviation: float | None
    low: float | None
    high: float | None
    iqm: float | None


def spread(scores: Scores) -> Spread | None:
    """Of one array of values, or of several columns, which then count alike; None: of no value."""
    scores = [values for values in scores if len(values)]
    if not scores:
        return None
    n = sum(len(values) for values in scores)
    mean = mean_of(scores)
    if max(len(values) for values in scores) < 2:
        return Spread(n, mean, None, None, None, None)
    squares = sum(float(((v - v.mean()) ** 2).sum()) for v in scores)
    deviation = (squares / max(1, n - len(scores))) ** 0.5
    low, high = interval(scores, mean_of)
    return Spread(n, mean, deviation, low, high, iqm(scores) if n >= FEW else None)


def mean_of(scores: Scores) -> float:
    """The mean of the columns' means."""
    return float(np.mean([values.mean() for values in scores]))


def iqm(scores: Scores) -> float:
    """The mean of the middle half of all values (Agarwal et al., 2021)."""
    from scipy.stats import trim_mean

    return float(trim_mean(np.concatenate(list(scores)), 0.25))


def interval(
    scores: Scores, statistic: Callable[[Scores], float], draws: int = DRAWS
) -> tuple[float, float]:
    """The percentile interval of a stratified bootstrap: each column draws among its own values.

    The draws are the same each time, so that a table is (Efron and Tibshirani, 1993).
    """
    random = np.random.Generator(np.random.Philox(key=mix("bootstrap", 0)))
    found = [
        statistic([values[random.integers(0, len(values), len(values))] for values in scores])
        for _ in range(draws)
    ]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return float(low), float(high)


def improvement(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The probability that a run of the first is better than one of the second; ties count half.

    It is the Mann-Whitney U over the number of pairs (Agarwal et al., 2021).
    """
    differences = first[:, None] - second[None, :]
    return float((differences > 0).mean() + (differences == 0).mean() / 2)


def improvement_interval(
    pairs: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> tuple[float, float, float]:
    """Probability of improvement over the columns, and its 95% interval.

    Args:
        pairs: for each column the values of both, by seed; seeds are drawn together.
    """

    def statistic(drawn: Scores) -> float:
        return float(np.mean([improvement(both[:, 0], both[:, 1]) for both in drawn]))

    scores = [np.column_stack(pair) for pair in pairs]
    low, high = interval(scores, statistic, DRAWS // 5)
    return statistic(scores), low, high


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for their number, so that any false one is as rare (Holm, 1979)."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    corrected, largest = [0.0] * len(values), 0.0
    for place, i in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - place) * values[i]))
        corrected[i] = largest
    return corrected
