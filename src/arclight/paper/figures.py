"""The figures of a paper, as vector PDF and PNG. Rows differ in marks and dashes too.

The colours are those of Okabe and Ito (2008), which colour-blind people can distinguish.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from arclight.canvas import figure
from arclight.paper.outcomes import Outcomes
from arclight.paper.statistics import spread
from arclight.paper.table import validation_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
MARKS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "//", "..", "xx", "\\\\", "++", "oo")
DPI = 200  # of a PNG


@dataclass(frozen=True)
class Style:
    """The style of one row in all figures."""

    colour: str
    dash: Any
    mark: str
    hatch: str

    @classmethod
    def of(cls, place: int) -> "Style":
        one = place % len(COLOURS)
        other = (place + place // len(COLOURS)) % len(DASHES)
        return cls(COLOURS[one], DASHES[other], MARKS[other], HATCHES[other])


def draw(outcomes: Outcomes, folder: Path) -> list[Path]:
    """Draws all figures for which there is data; returns the PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, Callable[[Outcomes], Figure | None]] = {
        "bars": bars,
        "curves": curves,
        "size": lambda o: scatter(o, "parameters", "parameters"),
        "time": lambda o: scatter(o, "training_seconds", "seconds of training"),
    }
    found = []
    for name, make in pictures.items():
        if (drawn := make(outcomes)) is not None:
            found.append(save(drawn, folder / name))
    return found


def save(drawn: "Figure", target: Path) -> Path:
    """Writes NAME.pdf and NAME.png reproducibly; returns the PNG file."""
    drawn.savefig(target.with_suffix(".pdf"), metadata={"CreationDate": None})
    png = target.with_suffix(".png")
    drawn.savefig(png, dpi=DPI, metadata={"Software": None})
    return png


def bars(outcomes: Outcomes) -> "Figure | None":
    """The mean of each row with its 95% interval, and a dot for each repetition."""
    metric, columns = outcomes.paper.metric, outcomes.columns
    if not _any(outcomes, metric):
        return None
    drawn, axes = figure(len(columns), 4.0)
    height = max(2.2, 0.42 * len(outcomes.rows) + 1.2)
    drawn.set_size_inches(4.6 * len(columns), height)
    for axis, column in zip(axes, columns, strict=True):
        for place, row in enumerate(outcomes.rows):
            values = outcomes.values(row, column, metric)
            found = spread([values])
            if found is None:
                continue
            style = Style.of(place)
            axis.barh(
                place,
                found.mean,
                color=style.colour,
                alpha=0.45,
                hatch=style.hatch,
                edgecolor="0.2",
                linewidth=0.6,
            )
            if found.low is not None and found.high is not None:
                sides = [[max(0.0, found.mean - found.low)], [max(0.0, found.high - found.mean)]]
                axis.errorbar(found.mean, place, xerr=sides, color="black", capsize=3)
            axis.plot(values, np.full(len(values), place), "|", color="black", markersize=7)
        axis.set_yticks(range(len(outcomes.rows)), outcomes.rows)
        axis.invert_yaxis()
        axis.set_xlabel(metric)
        axis.set_title(column if len(columns) > 1 else "")
        _zoom(axis, [outcomes.values(row, column, metric) for row in outcomes.rows])
    return drawn


def _zoom(axis: Any, values: Sequence[Any]) -> None:
    """Limits the axis to the range of the values, so it does not start at 0."""
    every = np.concatenate([v for v in values if len(v)] or [np.zeros(1)])
    low, high = float(every.min()), float(every.max())
    room = (high - low) or abs(high) * 0.1 or 1.0
    axis.set_xlim(low - 0.35 * room, high + 0.25 * room)


def curves(outcomes: Outcomes) -> "Figure | None":
    """Validation curves: mean, minimum and maximum of the repetitions against steps."""
    from arclight.training.loggers import read_metrics

    metric = outcomes.paper.curve or validation_of(outcomes.paper.metric)
    columns = outcomes.columns
    drawn, axes = figure(len(columns), 4.4)
    there = False
    for axis, column in zip(axes, columns, strict=True):
        for place, row in enumerate(outcomes.rows):
            files = [o.path / "metrics.csv" for o in outcomes.of(row, column) if o.path]
            lines = [
                {int(float(r["step"])): float(r[metric]) for r in read_metrics(f) if r.get(metric)}
                for f in files
                if f.is_file()
            ]
            lines = [line for line in lines if line]
            if not lines:
                continue
            steps = sorted(set.intersection(*(set(line) for line in lines)))
            if not steps:
                continue
            there, style = True, Style.of(place)
            table = np.array([[line[step] for step in steps] for line in lines])
            axis.plot(
                steps,
                table.mean(0),
                color=style.colour,
                linestyle=style.dash,
                label=row,
                marker=style.mark,
                markersize=4,
                markevery=max(1, len(steps) // 8),
            )
            if len(table) > 1:
                axis.fill_between(
                    steps, table.min(0), table.max(0), color=style.colour, alpha=0.15, linewidth=0
                )
        axis.set(xlabel="step", ylabel=metric, title=column if len(columns) > 1 else "")
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(fontsize=8)
    return drawn if there else None


def scatter(outcomes: Outcomes, figure_name: str, label: str) -> "Figure | None":
    """The metric of each row, with its deviation, against another number."""
    metric, columns = outcomes.paper.metric, outcomes.columns
    points = list(_points(outcomes, figure_name))
    if len({x for *_, x, _ in points}) < 2:
        return None
    drawn, axes = figure(len(columns), 4.4)
    for axis, column in zip(axes, columns, strict=True):
        for row, where, x, found in points:
            if where != column:
                continue
            style = Style.of(outcomes.rows.index(row))
            axis.errorbar(
                x,
                found.mean,
                yerr=found.deviation or 0.0,
                color=style.colour,
                marker=style.mark,
                markersize=7,
                capsize=3,
                linestyle="none",
                label=row,
                markeredgecolor="0.2",
            )
        axis.set(xscale="log", xlabel=label, ylabel=metric)
        axis.set_title(column if len(columns) > 1 else "")
        axis.grid(alpha=0.3)
        if axis.containers:
            axis.legend(fontsize=8)
    return drawn


def _points(outcomes: Outcomes, name: str) -> Iterator[tuple[str, str, float, Any]]:
    for row in outcomes.rows:
        for column in outcomes.columns:
            found = spread([outcomes.values(row, column, outcomes.paper.metric)])
            across = spread([outcomes.values(row, column, name)])
            if found is not None and across is not None and across.mean > 0:
                yield row, column, across.mean, found


def _any(outcomes: Outcomes, metric: str) -> bool:
    return any(o.metric(metric) is not None for o in outcomes.all)
