"""The results of a paper's runs, read from their directories."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arclight.paper.record import Entry, Record
from arclight.reading import DamagedFileError, read_json, read_summary
from arclight.report.examples import Examples, read_examples

ENDINGS = ("finished", "diverged", "failed", "missing")


@dataclass(frozen=True)
class Outcome:
    """A run of a paper and its result.

    Attributes:
        entry: its place in the paper.
        path: the run directory; None if there is none, or it is damaged.
        ending: finished, diverged, failed, or missing (not executed, or not to its end).
        error: of a failed run.
        summary: the content of `summary.json`.
    """

    entry: Entry
    path: Path | None
    ending: str
    error: str
    summary: dict[str, Any]

    @property
    def seed(self) -> int:
        return self.entry.seed

    def metric(self, name: str) -> float | None:
        """A metric of the tested checkpoint, or another number of `summary.json`."""
        if self.ending != "finished":
            return None
        value = (self.summary.get("metrics") or {}).get(name, self.summary.get(name))
        return float(value) if isinstance(value, int | float) else None

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return read_json(self.path / "manifest.json") if self.path else {}

    @cached_property
    def examples(self) -> Examples | None:
        return read_examples(self.path / "predictions.parquet") if self.path else None


class Outcomes:
    """All runs of a paper, by row and column.

    Args:
        record: the content of `paper.json`.
        folder: of the paper; its paths are relative to it.
    """

    def __init__(self, record: Record, folder: Path) -> None:
        self.record, self.paper, self.folder = record, record.paper, folder
        self.all = [_read(entry, folder) for entry in record.entries]
        self.rows = [row.name for row in self.paper.all_rows()]
        self.columns = [column.name for column in self.paper.all_columns()]

    def of(self, row: str, column: str) -> list[Outcome]:
        """The runs of a cell, by seed."""
        found = [o for o in self.all if (o.entry.row, o.entry.column) == (row, column)]
        return sorted(found, key=lambda outcome: outcome.seed)

    def finished(self, row: str, column: str, metric: str) -> dict[int, float]:
        """The metric by seed, for the runs that have it."""
        values = {o.seed: o.metric(metric) for o in self.of(row, column)}
        return {seed: value for seed, value in values.items() if value is not None}

    def values(self, row: str, column: str, metric: str) -> NDArray[np.float64]:
        return np.array(list(self.finished(row, column, metric).values()), float)

    def mean(self, row: str, column: str, metric: str) -> float | None:
        """The mean of a metric over the runs of a cell."""
        values = self.values(row, column, metric)
        return float(values.mean()) if len(values) else None

    def counts(self, row: str, column: str) -> dict[str, int]:
        """The number of runs of a cell with each ending."""
        endings = [outcome.ending for outcome in self.of(row, column)]
        return {ending: endings.count(ending) for ending in ENDINGS}

    def first(self, row: str, columns: Sequence[str], metric: str) -> float | None:
        """A number that is equal for all runs of a row, from the first run that has it."""
        for column in columns:
            for outcome in self.of(row, column):
                if (value := outcome.metric(metric)) is not None:
                    return value
        return None


def _read(entry: Entry, folder: Path) -> Outcome:
    if entry.path is None:
        return Outcome(entry, None, "missing", "", {})
    path = folder / entry.path
    try:
        summary = read_summary(path / "summary.json")
    except DamagedFileError as damage:
        return Outcome(entry, None, "failed", str(damage), {})
    error = str(summary.get("error") or "").partition("\n")[0]
    status = summary["status"]
    if status == "failed":
        ending = "diverged" if "NonFinite" in error else "failed"
    else:
        ending = "finished" if status == "finished" else "missing"
    return Outcome(entry, path, ending, error, summary)
