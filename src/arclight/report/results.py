"""Runs as rows of a table: finds, filters, groups and sorts them."""

import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import yaml

from arclight.config.freeze import flatten
from arclight.config.suggest import did_you_mean
from arclight.errors import UserError
from arclight.reading import read_manifest, read_mapping, read_overrides, read_summary

Row = dict[str, Any]
MAX_METRICS = 4  # metrics shown by default if a run does not have its monitored metric
SHOWN_KEYS = 4  # different keys listed in an error message
OTHER = ("parameters", "epochs", "seconds", "training_seconds")  # numbers besides the metrics

# Keys that do not change what a run computes.
INCIDENTAL = ("name", "runs", "run_dir", "logger", "trial", "search", "preflight")

# The last parts of keys in which repetitions differ.
REPEATED = ("seed", "split_seed", "fold")


@dataclass(frozen=True)
class Result:
    """The content of a run directory.

    Attributes:
        path: the directory.
        status: from its summary.
        error: of a failed run, one line.
        typed: the overrides by key.
        config: the frozen config's leaves by their dotted keys.
        choices: the options of the config groups, if recorded.
        metrics: metrics and other measured numbers; empty until the run is finished.
    """

    path: Path
    status: str
    error: str
    typed: dict[str, Any]
    config: dict[str, Any]
    choices: dict[str, Any]
    metrics: dict[str, float]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Leaves of the config, options of groups and overrides, by key."""
        return {**self.config, **self.choices, **self.typed}

    @property
    def monitor(self) -> str:
        """The metric that selects the run's best checkpoint."""
        return str(self.config.get("callbacks.checkpoints.monitor") or "val/loss")

    def value(self, key: str) -> Any:
        return {**self.settings, **self.metrics, "status": self.status}.get(key)


def collect(places: Iterable[str | Path]) -> list[Result]:
    """All runs in the folders, at any depth, sorted by path; `2` comes before `10`.

    Raises:
        UserError: a place is not a folder.
    """
    found: dict[Path, Result] = {}
    for place in places:
        root = Path(place).expanduser()
        if not root.is_dir():
            raise UserError(
                f"{place} is not a folder; give a run, or a folder of runs or searches."
            )
        for path in sorted(_runs_in(root), key=_natural):
            if path.resolve() not in found and (result := _readable(path)) is not None:
                found[path.resolve()] = result
    return list(found.values())


def _readable(path: Path) -> "Result | None":
    """The run; None, with a warning on stderr, if its files are damaged."""
    try:
        return read(path)
    except (UserError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        said = " ".join(str(error).split())
        print(f"warning: {path} is left out, because it cannot be read ({said}).", file=sys.stderr)
        return None


def _runs_in(root: Path) -> Iterator[Path]:
    for folder, below, files in os.walk(root):
        if "config.yaml" in files and "summary.json" in files:
            yield Path(folder)
            below.clear()
        below[:] = [name for name in below if not name.startswith(".")]


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


DATA = ("data", "data.path")
"""Keys that identify the data of a run."""


def read(path: Path) -> Result:
    """Reads a run directory.

    Raises:
        UserError: it is not the directory of a run.
    """
    summary = read_summary(path / "summary.json")
    config, typed = read_mapping(path / "config.yaml"), read_overrides(path)
    if missing := [k for k in ("trainer", "data", "callbacks") if k not in config]:
        raise UserError(f"{path}/config.yaml is not the config of a run: it has no {missing[0]}.")
    finished = summary["status"] == "finished"
    measured = {**(summary.get("metrics") or {}), **{k: summary.get(k) for k in OTHER}}
    return Result(
        path=path,
        status=summary["status"],
        error=str(summary.get("error") or "").partition("\n")[0],
        typed=dict(_word(word) for word in typed),
        config=dict(flatten(config)),
        choices=read_manifest(path / "manifest.json").get("choices", {}),
        metrics={k: v for k, v in measured.items() if v is not None} if finished else {},
    )


def _word(word: str) -> tuple[str, Any]:
    key, _, value = word.partition("=")
    return key.lstrip("+~").partition("@")[0], parse(value)


def parse(text: str) -> Any:
    """Parses a value from the command line: `1e-3` is a number."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


# ------------------------------------------------------------------------- differences


def differing(results: Sequence[Result]) -> list[str]:
    """The keys that distinguish the runs: overrides that differ; then, for runs with equal
    overrides and different configs, the keys of the config that differ.
    """
    typed = dict.fromkeys(key for result in results for key in result.typed)
    varied = [k for k in typed if _varies(results, k) and not _is_incidental(k)]
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(repr([result.value(key) for key in varied]), []).append(result)
    more: dict[str, None] = {}
    for group in groups.values():
        keys = dict.fromkeys(key for result in group for key in result.config)
        more |= dict.fromkeys(k for k in keys if _varies(group, k) and not _is_incidental(k))
    return [*varied, *(key for key in more if key not in varied)]


def _varies(results: Sequence[Result], key: str) -> bool:
    return len({repr(result.settings.get(key)) for result in results}) > 1


def _is_incidental(key: str) -> bool:
    return key.split(".")[0] in INCIDENTAL


def headline(results: Sequence[Result]) -> list[str]:
    """The metrics shown by default: the monitored ones, those of the test, training seconds."""
    found: dict[str, None] = {}
    for monitor in dict.fromkeys(result.monitor for result in results):
        found |= dict.fromkeys([monitor, re.sub(r"^val(?=[/_])", "test", monitor)])
    there = dict.fromkeys(key for result in results for key in result.metrics)
    shown = [name for name in found if name in there]
    shown = shown or [name for name in there if name not in OTHER][:MAX_METRICS]
    return [*shown, *(name for name in ["training_seconds"] if name in there)]


def chosen_metrics(results: Sequence[Result], typed: str | None) -> list[str]:
    """The metrics to show: names separated by commas, `all`, or None for the default ones.

    Raises:
        UserError: no run has a metric of that name.
    """
    if typed is None:
        return headline(results)
    there = dict.fromkeys(key for result in results for key in result.metrics)
    if typed == "all":
        return list(there)
    names = typed.split(",")
    for name in names:
        if name not in there:
            raise UserError(
                f"{name} is not a metric of these runs{did_you_mean(name, list(there))}"
            )
    return names


def larger_is_better(name: str, results: Sequence[Result]) -> bool:
    """Whether larger values are better, by the runs' configs, else by the metric's name."""
    tail = name.rpartition("/")[2]
    for result in results:
        if result.monitor.rpartition("/")[2] == tail:
            return bool(result.config.get("callbacks.checkpoints.mode") == "max")
    return tail not in OTHER and not re.search("loss|error|perplexity|bits|latency", tail)


# ------------------------------------------------------------------------------ filtering, sorting

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b or str(a) == str(b),
    "!=": lambda a, b: not (a == b or str(a) == str(b)),
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


def where(results: Sequence[Result], conditions: str) -> list[Result]:
    """The runs that meet all conditions, such as `model=cnn,optimizer.lr<0.01,status!=failed`.

    Raises:
        UserError: a condition cannot be parsed, or no run has its key.
    """
    kept = list(results)
    for condition in re.split(r",(?![^\[]*\])", conditions):
        parts = re.fullmatch(r"\s*([\w./@-]+)\s*(!=|<=|>=|=|<|>)(.*)", condition)
        if parts is None:
            raise UserError(
                f"where={condition} should be like model=cnn, optimizer.lr<0.01 or status!=failed."
            )
        key, sign, wanted = parts[1], parts[2], parse(parts[3].strip())
        require_known(results, key)
        kept = [result for result in kept if _meets(result.value(key), sign, wanted)]
    return kept


def _meets(value: Any, sign: str, wanted: Any) -> bool:
    try:
        return _COMPARE[sign](value, wanted)
    except TypeError:  # a missing value, or text compared with a number
        return False


def require_known(results: Sequence[Result], key: str) -> None:
    """Raises `UserError` if no run has this key."""
    known = {k for r in results for k in (*r.settings, *r.metrics)} | {"status"}
    if key not in known:
        raise UserError(f"{key} is not a key of these runs{did_you_mean(key, sorted(known))}")


def ordered(rows: Sequence[Row], key: str, results: Sequence[Result]) -> list[Row]:
    """Sorts the rows by a column: metrics best first, settings ascending; `-key` reverses it.

    Rows without a value come last.

    Raises:
        UserError: there is no such column.
    """
    name = key.removeprefix("-")
    if rows and name not in rows[0]:
        raise UserError(f"{name} is not a column of the table{did_you_mean(name, list(rows[0]))}")
    metrics = {k for result in results for k in result.metrics}
    down = (name in metrics and larger_is_better(name, results)) != key.startswith("-")
    having = [row for row in rows if row.get(name) is not None]
    rest = [row for row in rows if row.get(name) is None]
    numbers = all(isinstance(row[name], int | float | Mean) for row in having)
    place = (lambda row: float(row[name])) if numbers else (lambda row: str(row[name]))
    return [*sorted(having, key=place, reverse=down), *rest]


# ------------------------------------------------------------------------------------------- rows


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
        digits = max(0, min(8, 1 - math.floor(math.log10(self.deviation))))
        return f"{self.mean:.{digits}f} ± {self.deviation:.{digits}f}"


def listed(results: Sequence[Result], metrics: Sequence[str] | None = None) -> list[Row]:
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


def distinguishing(results: Sequence[Result]) -> list[str]:
    """The keys that distinguish the runs, except those of repetitions, for `by=auto`."""
    leaves = dict.fromkeys(key for result in results for key in result.config)
    varied = [
        key
        for key in leaves
        if len({repr(result.config.get(key)) for result in results}) > 1
        and not _is_incidental(key)
        and not _is_repeated(key)
    ]
    if not varied:  # all runs have the same config, even if their overrides differ
        return []
    return [key for key in differing(results) if not _is_repeated(key)] or varied


def _is_repeated(key: str) -> bool:
    return key.rpartition(".")[2] in REPEATED


def grouped(
    results: Sequence[Result],
    by: Sequence[str],
    metrics: Sequence[str] | None = None,
    mixed: bool = False,
) -> list[Row]:
    """One row for each combination of the keys: the number of finished runs, and their means.

    Unfinished runs are counted but left out of the means; seeds and folds are pooled. Runs on
    different data are in different rows.

    Args:
        by: the keys.
        metrics: the metrics to average; None: the default ones.
        mixed: allow runs in one row that differ in more than seed and fold, also in their data.

    Raises:
        UserError: runs in one row differ, without `mixed`.
    """
    for key in by:
        require_known(results, key)
    if not mixed:  # never average over several data sets
        by = [*by, *(key for key in DATA if key not in by and _varies(results, key))]
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
            title = ", ".join(f"{key}={short(group[0].settings.get(key))}" for key in by)
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
