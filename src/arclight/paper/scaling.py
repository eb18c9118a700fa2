"""Scaling curves: the error against examples per parameter, if columns differ in their size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from arclight.canvas import figure
from arclight.paper.figures import Style
from arclight.paper.outcomes import Outcomes
from arclight.paper.statistics import spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MIN_POINTS = 3  # fewest points of a curve


@dataclass(frozen=True)
class Curve:
    """A power law, `error = factor * ratio ** -exponent`, of one row.

    Attributes:
        points: ratio (training examples per parameter), mean error and its deviation.
        low, high: the exponent's 95% interval, from the residuals of the fit.
        r2: explained share of the variance of the log errors.
    """

    row: str
    points: list[tuple[float, float, float]]
    factor: float
    exponent: float
    low: float
    high: float
    r2: float

    def error(self, ratio: Any) -> Any:
        return self.factor * ratio**-self.exponent


def scaling(outcomes: Outcomes) -> list[Curve]:
    """The curve of each row with three or more different numbers of training examples.

    It is a least-squares fit to the logarithms; columns with an error of 0 are left out. The error
    is 1 minus the metric if larger values are better, else the metric itself.
    """
    from scipy import stats

    found = []
    for row in outcomes.rows:
        points = sorted(p for column in outcomes.columns if (p := _point(outcomes, row, column)))
        seen = [(ratio, error) for ratio, error, _ in points if error > 0]
        if len({ratio for ratio, _ in seen}) < MIN_POINTS:
            continue
        x, y = np.log(np.array(seen)).T
        line: Any = stats.linregress(x, y)
        room = float(stats.t.ppf(0.975, len(x) - 2)) * line.stderr
        exponent = -float(line.slope)
        found.append(
            Curve(
                row=row,
                points=points,
                factor=float(np.exp(line.intercept)),
                exponent=exponent,
                low=exponent - room,
                high=exponent + room,
                r2=float(line.rvalue**2),
            )
        )
    return found


def _point(outcomes: Outcomes, row: str, column: str) -> tuple[float, float, float] | None:
    metric = outcomes.paper.metric
    for outcome in outcomes.of(row, column):
        sizes = (outcome.manifest.get("data") or {}).get("sizes") or {}
        parameters = outcome.metric("parameters")
        across = spread([outcomes.values(row, column, metric)])
        if sizes.get("train") and parameters and across is not None:
            error = 1 - across.mean if outcomes.paper.upwards else across.mean
            return sizes["train"] / parameters, error, across.deviation or 0.0
    return None


def scaling_rows(curves: Sequence[Curve]) -> list[dict[str, object]]:
    """The curves as a table."""
    return [
        {
            "row": curve.row,
            "error": f"{curve.factor:.4g} * (examples per parameter) ^ {-curve.exponent:.3f}",
            "exponent": round(curve.exponent, 4),
            "low": round(curve.low, 4),
            "high": round(curve.high, 4),
            "r2": round(curve.r2, 4),
            "columns": len(curve.points),
        }
        for curve in curves
    ]


def draw_scaling(curves: Sequence[Curve], outcomes: Outcomes) -> "Figure":
    """Draws errors against examples per parameter, both logarithmic, with the curves."""
    drawn, (axis,) = figure(1, 5.0)
    for curve in curves:
        style = Style.of(outcomes.rows.index(curve.row))
        x, y, deviation = np.array(curve.points).T
        axis.errorbar(
            x,
            y,
            yerr=[np.minimum(deviation, 0.9 * y), deviation],
            color=style.colour,
            marker=style.mark,
            linestyle="none",
            capsize=3,
            markeredgecolor="0.2",
        )
        along = np.geomspace(x.min(), x.max(), 50)
        label = f"{curve.row}: exponent {curve.exponent:.2f} ({curve.low:.2f} to {curve.high:.2f})"
        axis.plot(
            along,
            curve.error(along),
            color=style.colour,
            linestyle=style.dash,
            marker=style.mark,
            markevery=[],  # only the legend shows it
            label=label,
        )
    metric = outcomes.paper.metric
    axis.set(xscale="log", yscale="log", xlabel="training examples per parameter")
    axis.set_ylabel(f"1 - {metric}" if outcomes.paper.upwards else metric)
    axis.grid(alpha=0.3, which="both")
    drawn.legend(loc="outside lower center", fontsize=8)
    return drawn
