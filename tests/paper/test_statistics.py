"""The statistics agree with scipy and rliable's definitions, and have the stated error rates."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from arclight.paper import differences as d
from arclight.paper import statistics as s
from arclight.paper.examples import mistakes, paired
from arclight.report.examples import Examples

RANDOM = np.random.default_rng(0)


def normal(mean: float, deviation: float, *shape: int) -> NDArray[np.float64]:
    return np.random.default_rng([shape[0], int(1e6 * mean)]).normal(mean, deviation, shape)


def test_a_spread_agrees_with_scipy() -> None:
    values = normal(0.9, 0.01, 12)
    found = s.spread([values])
    assert found is not None
    assert found.mean == pytest.approx(values.mean())
    assert found.deviation == pytest.approx(values.std(ddof=1))
    assert found.iqm == pytest.approx(stats.trim_mean(values, 0.25))
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=5000, rng=1
    ).confidence_interval
    assert found.low == pytest.approx(theirs.low, abs=1e-3)
    assert found.high == pytest.approx(theirs.high, abs=1e-3)
    assert s.spread([values]) == found  # drawn alike each time
    assert s.spread([]) is None


def test_a_stratified_bootstrap_keeps_the_columns_apart() -> None:
    easy, hard = normal(0.9, 0.001, 5), normal(0.1, 0.001, 5)
    found = s.spread([easy, hard])
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low < 0.01  # though the values lie 0.8 apart


def test_the_probability_of_improvement_is_the_one_of_mann_whitney() -> None:
    a, b = normal(0.5, 1, 9), normal(0.0, 1, 7)
    u = stats.mannwhitneyu(a, b).statistic
    assert s.improvement(a, b) == pytest.approx(u / (len(a) * len(b)))
    assert s.improvement(np.ones(2), np.ones(2)) == 0.5
    value, low, high = s.improvement_interval([(a[:7], b)])
    assert low <= value <= high


def test_holm_agrees_with_its_paper() -> None:
    assert s.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert s.holm([]) == []


def test_p_is_that_of_students_paired_test() -> None:
    values = normal(0.3, 1, 8)
    theirs = stats.ttest_1samp(values, 0.1, alternative="greater").pvalue
    found = d.difference(values, 0.1)
    assert found.values["better"] == pytest.approx(2 * theirs)
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize(
    ("mean", "threshold", "verdict"),
    [(1.0, 0.1, "better"), (-1.0, 0.1, "worse"), (0.0, 0.5, "equal"), (0.5, 0.5, "undecided")],
)
def test_the_threshold_decides(mean: float, threshold: float, verdict: str) -> None:
    values = mean + 0.1 * np.array([-1.0, 0, 1, -1, 0, 1, -1, 1])
    assert d.difference(values, threshold).verdict() == verdict


def test_one_repetition_or_coarse_ties_decide_nothing() -> None:
    assert d.difference(np.array([0.5]), 0.0).verdict() == "undecided"
    assert d.difference(np.array([0.01, 0.01]), 0.0, resolution=0.01).verdict() == "undecided"
    assert d.difference(np.zeros(3), 0.001).verdict() == "equal"
    assert d.resolution([np.array([0.5, 0.52]), np.array([0.51])]) == pytest.approx(0.01)


def test_better_is_wrong_in_at_most_one_of_twenty_without_an_effect() -> None:
    draws = np.random.default_rng(7).normal(0, 1, (1000, 5))
    wrong = sum(d.difference(values, 0.0).verdict() == "better" for values in draws)
    assert wrong <= 50


@pytest.mark.parametrize(
    ("region", "n", "effect", "threshold"),
    [
        ("better", 5, 1.6, 0.0),
        ("better", 12, 1.0, 0.1),
        ("worse", 8, -1.2, 0.1),
        ("equal", 20, 0.1, 0.9),
    ],
)
def test_power_is_as_predicted(region: d.Region, n: int, effect: float, threshold: float) -> None:
    draws = np.random.default_rng(3).normal(effect, 1, (1000, n))
    reached = np.mean([d.difference(v, threshold).verdict() == region for v in draws])
    assert reached == pytest.approx(d.power(region, n, effect, 1.0, threshold), abs=0.05)


def test_the_number_needed_is_the_first_with_eighty_percent() -> None:
    n = d.needed("better", 1.0, 1.0, 0.0)
    assert n == 10  # as G*Power and statsmodels have it: 9.93 repetitions
    assert d.power("better", n - 1, 1.0, 1.0, 0.0) < 0.8 <= d.power("better", n, 1.0, 1.0, 0.0)
    assert d.needed("better", 0.0, 1.0, 0.0) is None


def examples(prediction: list[int], target: list[int]) -> Examples:
    ids = np.arange(len(target))
    return Examples(ids, np.array(target), np.array(prediction), np.ones(len(ids)), ["no", "yes"])


def test_mcnemar_counts_what_only_one_has_right() -> None:
    target = [0] * 20
    first = examples([0] * 18 + [1] * 2, target)
    second = examples([1] * 9 + [0] * 11, target)
    found = paired(first, second)
    assert found is not None
    assert (found.only_first, found.only_second) == (9, 2)
    assert found.p == pytest.approx(stats.binomtest(9, 11).pvalue)
    assert found.difference == pytest.approx(7 / 20)
    assert found.low < 7 / 20 < found.high
    assert paired(first, examples([0], [0])) is None
    worst = mistakes([first, second])
    assert len(worst) == 11
    assert worst[0] == {"id": 0, "target": "no", "prediction": "yes", "wrong": 1, "runs": 2}
