"""The table of a paper: the statistics of every row and column, and the number of lost runs."""

from dataclasses import dataclass
from typing import Any

from arclight.paper.differences import difference, resolution
from arclight.paper.outcomes import Outcomes
from arclight.paper.settings import WHOLE
from arclight.paper.statistics import Spread, holm, spread
from arclight.report.rows import digits_of, short
from arclight.report.tables import comma_separated, latex_text, markdown

STATISTICS = ("mean", "deviation", "low", "high", "iqm")


@dataclass(frozen=True)
class Entry:
    """The table's entry for a row and column.

    Attributes:
        spread: statistics of the metric; None without runs.
        counts: number of runs by ending.
        is_best: the best of its column, or not significantly worse.
        validated: the mean of the corresponding validation metric.
        parameters: number of parameters.
    """

    row: str
    column: str
    spread: Spread | None
    counts: dict[str, int]
    is_best: bool
    validated: float | None
    parameters: float | None


def entries(outcomes: Outcomes) -> list[Entry]:
    """The entries of all rows and columns."""
    metric = outcomes.paper.metric
    best = {column: _best(outcomes, column) for column in outcomes.columns}
    return [
        Entry(
            row=row,
            column=column,
            spread=spread([outcomes.values(row, column, metric)]),
            counts=outcomes.counts(row, column),
            is_best=row in best[column],
            validated=outcomes.mean(row, column, validation_of(metric)),
            parameters=outcomes.first(row, [column], "parameters"),
        )
        for row in outcomes.rows
        for column in outcomes.columns
    ]


def validation_of(metric: str) -> str:
    """The validation metric that corresponds to a test metric."""
    return metric.replace("test", "val", 1) if metric.startswith("test") else metric


def _best(outcomes: Outcomes, column: str) -> set[str]:
    """The best row of a column, and rows that are not significantly worse (paired test, Holm)."""
    metric = outcomes.paper.metric
    sign = 1.0 if outcomes.paper.upwards else -1.0
    found = {row: outcomes.finished(row, column, metric) for row in outcomes.rows}
    means = {row: sign * sum(v.values()) / len(v) for row, v in found.items() if v}
    if not means:
        return set()
    top = max(means, key=lambda row: means[row])
    others = [row for row in means if row != top]
    ps = []
    for row in others:
        seeds = sorted(found[row].keys() & found[top].keys())
        both = [[found[name][seed] for seed in seeds] for name in (row, top)]
        ps.append(_worse(both, sign))
    return {top, *(row for row, p in zip(others, holm(ps), strict=True) if p > 0.05)}


def _worse(both: list[list[float]], sign: float) -> float:
    import numpy as np

    if not both[0]:
        return 1.0
    values = np.array(both)
    steps = sign * (values[0] - values[1])
    return difference(steps, 0.0, resolution(list(values))).values["worse"]


# ----------------------------------------------------------------------------------- as text


def for_reading(outcomes: Outcomes) -> list[dict[str, str]]:
    """The rows of the table with few digits; the best are in bold (Markdown)."""
    lines: list[dict[str, str]] = []
    for entry in entries(outcomes):
        line: dict[str, str] = {outcomes.paper.name: entry.row}
        if outcomes.columns != [WHOLE]:
            line["on"] = entry.column
        line[outcomes.paper.metric] = _value(entry, "**{}**")
        line["95%"] = _interval(entry.spread)
        line["IQM"] = "" if entry.spread is None else short(entry.spread.iqm)
        line["runs"] = _runs(entry.counts)
        line[validation_of(outcomes.paper.metric)] = short(entry.validated)
        line["parameters"] = "" if entry.parameters is None else f"{entry.parameters:,.0f}"
        lines.append(line)
    return lines


def as_markdown(outcomes: Outcomes) -> str:
    return markdown(for_reading(outcomes)) + "\n\n" + NOTE + "\n"


NOTE = (
    "Mean ± standard deviation over the repetitions; 95% intervals of the mean from a bootstrap "
    "within each column; IQM is the interquartile mean. Bold: the best row, and rows that are not "
    "significantly worse (paired t-test by seed, Holm's correction). Diverged, failed and missing "
    "runs are counted under runs and excluded from the means."
)


def as_csv(outcomes: Outcomes) -> str:
    """The table as CSV with all digits; one line for each row and column."""
    lines: list[dict[str, Any]] = []
    for entry in entries(outcomes):
        found = entry.spread
        lines.append(
            {
                "row": entry.row,
                "column": entry.column,
                "metric": outcomes.paper.metric,
                **{key: getattr(found, key, None) for key in STATISTICS},
                "best": entry.is_best,
                **entry.counts,
                "validation": entry.validated,
                "parameters": entry.parameters,
            }
        )
    return comma_separated(lines) + "\n"


def as_latex(outcomes: Outcomes) -> str:
    """The table as LaTeX, in the style of booktabs."""
    found = {(entry.row, entry.column): entry for entry in entries(outcomes)}
    columns = outcomes.columns
    heads = [outcomes.paper.metric] if columns == [WHOLE] else columns
    lines = [
        r"% \usepackage{booktabs}",
        rf"\begin{{tabular}}{{l{'c' * len(columns)}r}}",
        r"\toprule",
        " & ".join(["", *map(latex_text, heads), "parameters"]) + r" \\",
        r"\midrule",
    ]
    for row in outcomes.rows:
        cells = [_value(found[row, column], r"\textbf{{{}}}") for column in columns]
        size = outcomes.first(row, columns, "parameters")
        cells = [cell.replace("±", r"$\pm$") for cell in cells]
        lines.append(
            " & ".join([latex_text(row), *cells, "" if size is None else f"{size:,.0f}"]) + r" \\"
        )
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _value(entry: Entry, bold: str) -> str:
    found = entry.spread
    if found is None:
        return "--" + _lost(entry.counts)
    text = short(found.mean)
    if found.deviation is not None:
        digits = digits_of(found.deviation)
        text = f"{found.mean:.{digits}f} ± {found.deviation:.{digits}f}"
    return (bold.format(text) if entry.is_best else text) + _lost(entry.counts)


def _lost(counts: dict[str, int]) -> str:
    """A note after a mean that does not include all repetitions."""
    lost = sum(n for ending, n in counts.items() if ending != "finished")
    return f" ({lost} of {sum(counts.values())} lost)" if lost else ""


def _runs(counts: dict[str, int]) -> str:
    said = [f"{counts['finished']} of {sum(counts.values())}"]
    return ", ".join(said + [f"{n} {e}" for e, n in counts.items() if n and e != "finished"])


def _interval(found: Spread | None) -> str:
    if found is None or found.low is None or found.high is None:
        return ""
    digits = digits_of(found.deviation or 0.0)
    return f"[{found.low:.{digits}f}, {found.high:.{digits}f}]"
