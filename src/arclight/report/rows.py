"""Runs, and groups of runs, as rows of a table."""

import math
from collections.abc import Iterable, Sequence
from statistics import mean, stdev
from typing import Any, NamedTuple

from arclight.errors import UserError
from arclight.report.differences import differing, distinguishing, varies
from arclight.report.metrics import headline
from arclight.report.results import Result, require_known

Row = dict[str, Any]


SHOWN_KEYS = 4  # different keys listed in an error message


DATA = ("data", "data.path")
"""Keys that identify the data of a run."""


class Mean(NamedTuple):
    """A mean over runs, with the sample standard deviation if there are several."""

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean | None":
        if not values:
            return None
        return cls(mean(values), stdev(values) if len(values) > 1 else None)

    def __float__(self) -> float:
        return self.mean

    def __str__(self) -> str:
        if not self.deviation or not math.isfinite(self.deviation):
            return short(self.mean)
        digits = digits_of(self.deviation)
        return f"{self.mean:.{digits}f} ± {self.deviation:.{digits}f}"


def run_rows(results: Sequence[Result], metrics: Sequence[str] | None = None) -> list[Row]:
    """One row for each run: the keys that distinguish it, its status, metrics and directory."""
    settings, names = differing(results), headline(results) if metrics is None else metrics
    return [
        {
            **{key: result.settings.get(key) for key in settings},
            "status": result.status,
            **{name: result.metrics.get(name) for name in names},
            "run": str(result.path),
        }
        for result in results
    ]


def grouped(
    results: Sequence[Result],
    by: Sequence[str],
    metrics: Sequence[str] | None = None,
    mixed: bool = False,
) -> list[Row]:
    """One row for each combination of the keys: the number of finished runs, and their means.

    Unfinished runs are counted but left out of the means; seeds and folds are pooled. Runs on
    different data are in different rows. Finished runs without any of the metrics are left out:
    they are of another task.

    Args:
        by: the keys.
        metrics: the metrics to average; None: the default ones.
        mixed: allow runs in one row that differ in more than seed and fold, also in their data.

    Raises:
        UserError: runs in one row differ, without `mixed`.
    """
    for key in by:
        require_known(results, key)
    if metrics:
        results = [r for r in results if r.status != "finished" or {*metrics} & {*r.metrics}]
    if not mixed:  # never average over several data sets
        by = [*by, *(key for key in DATA if key not in by and varies(results, key))]
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(repr([result.settings.get(key) for key in by]), []).append(result)
    if not mixed:
        _require_unmixed(by, groups.values())
    names = headline(results) if metrics is None else metrics
    rows = []
    for group in groups.values():
        finished = [result for result in group if result.status == "finished"]
        means = {
            name: Mean.of([r.metrics[name] for r in finished if name in r.metrics])
            for name in names
        }
        settings = {key: group[0].settings.get(key) for key in by}
        rows.append(
            {**settings, "n": len(finished), "unfinished": len(group) - len(finished), **means}
        )
    return rows


def _require_unmixed(by: Sequence[str], groups: Iterable[Sequence[Result]]) -> None:
    """Raises `UserError`, listing the differences, if runs of one group differ."""
    errors = []
    for group in groups:
        keys = distinguishing(group)
        if keys:
            values = {key: short(group[0].settings.get(key)) for key in by}
            title = ", ".join(f"{key}={value}" for key, value in values.items() if value)
            shown = keys[:SHOWN_KEYS]
            more = f" and {len(keys) - len(shown)} more keys" if keys[SHOWN_KEYS:] else ""
            lines = ", ".join(f"{key} ({_values_of(group, key)})" for key in shown)
            errors.append(f"The {len(group)} runs of {title} differ in {lines}{more}.")
    if errors:
        raise UserError(
            "\n".join(errors) + "\nTheir mean would mix them: type by=auto to group by all keys "
            "that differ, give more keys, select runs with where=, or type mixed=true."
        )


def _values_of(group: Sequence[Result], key: str) -> str:
    values = list(dict.fromkeys(short(result.settings.get(key)) or "null" for result in group))
    return ", ".join(values[:4]) + (", ..." if len(values) > 4 else "")


def digits_of(deviation: float) -> int:
    """The number of decimals that gives the deviation two significant digits."""
    if not deviation or not math.isfinite(deviation):
        return 4
    return max(0, min(8, 1 - math.floor(math.log10(deviation))))


def short(value: Any) -> str:
    """A value as text with few digits."""
    if isinstance(value, float):
        return f"{value:.5g}"
    return "" if value is None else str(value)


def for_reading(rows: Sequence[Row]) -> list[Row]:
    """The rows as text: numbers with few digits, means with their deviation."""
    return [{key: short(value) for key, value in row.items()} for row in rows]


def for_machines(rows: Sequence[Row]) -> list[Row]:
    """The rows with all digits; means and deviations in separate columns."""
    return [
        {
            name: content
            for key, value in row.items()
            for name, content in (
                ((key, value.mean), (f"{key} deviation", value.deviation))
                if isinstance(value, Mean)
                else ((key, value),)
            )
        }
        for row in rows
    ]
