"""Compares runs example by example, with their `predictions.parquet`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arclight.report.examples import Examples
from arclight.seeds import mix

DRAWS = 2000


@dataclass(frozen=True)
class Paired:
    """A comparison of two runs on the same examples.

    Attributes:
        n: number of examples.
        only_first: examples that only the first run predicts correctly.
        only_second: examples that only the second run predicts correctly.
        p: p-value of McNemar's exact test.
        difference: of the accuracies.
        low, high: its 95% interval, from a bootstrap of the examples.
    """

    n: int
    only_first: int
    only_second: int
    p: float
    difference: float
    low: float
    high: float


def paired(first: Examples, second: Examples) -> Paired | None:
    """Compares two runs with McNemar's exact test (1947).

    None if they have different examples, or do not predict classes.
    """
    from scipy.stats import binomtest

    if not (first.are_classes and second.are_classes):
        return None
    if not (np.array_equal(first.id, second.id) and np.array_equal(first.target, second.target)):
        return None
    a, b = first.right, second.right
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    p = float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    steps = a.astype(float) - b.astype(float)
    low, high = _interval(steps)
    return Paired(len(steps), only_a, only_b, p, float(steps.mean()), low, high)


def _interval(steps: NDArray[np.float64]) -> tuple[float, float]:
    """A paired bootstrap: resamples the examples together with both runs' predictions."""
    random = np.random.Generator(np.random.Philox(key=mix("examples", 0)))
    values, counts = np.unique(steps, return_counts=True)
    drawn = random.multinomial(len(steps), counts / len(steps), DRAWS) @ values / len(steps)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def mistakes(runs: Sequence[Examples]) -> list[dict[str, Any]]:
    """The examples that most runs predict wrongly, the worst first, with the commonest mistake."""
    runs = [run for run in runs if run.are_classes]
    if not runs or not all(np.array_equal(run.id, runs[0].id) for run in runs):
        return []
    wrong = np.sum([~run.right for run in runs], axis=0)
    names = runs[0].names
    rows = []
    for place in np.lexsort((runs[0].id, -wrong)):
        if not wrong[place]:
            break
        said = [int(run.prediction[place]) for run in runs if not run.right[place]]
        often = max(sorted(set(said)), key=said.count)
        target = int(runs[0].target[place])
        rows.append(
            {
                "id": int(runs[0].id[place]),
                "target": names[target] if names else target,
                "prediction": names[often] if names else often,
                "wrong": int(wrong[place]),
                "runs": len(runs),
            }
        )
    return rows
