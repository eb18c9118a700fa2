"""The report of a finished search: `trials.csv`, `report.md`, `best.yaml` and a short summary."""

import csv
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arclight.config.best_of import FILE
from arclight.config.typed import as_typed
from arclight.files import write_text
from arclight.reading import read_mapping, read_overrides
from arclight.report.best import words_of, write_best
from arclight.report.search_plots import importance
from arclight.report.search_results import Search, parameters_of, state_of, values_of
from arclight.report.tables import markdown

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

SHOWN = 20  # trials in the report's table; trials.csv has all


def rows(search: Search) -> list[dict[str, Any]]:
    """One mapping for each trial: number, state, metrics, parameters, seconds, reason and runs."""
    parameters = parameters_of(search.trials)
    return [
        {
            "trial": trial.number,
            "state": state_of(trial),
            **dict(zip(search.objectives, _padded(search, trial), strict=True)),
            **{name: trial.params.get(name) for name in parameters},
            "seconds": trial.user_attrs.get("seconds"),
            "reason": trial.user_attrs.get("reason"),
            "runs": " ".join(trial.user_attrs.get("runs", [])),
        }
        for trial in search.trials
    ]


def _padded(search: Search, trial: "FrozenTrial") -> list[Any]:
    values: list[Any] = list(values_of(trial) or [])
    return values + [None] * (len(search.objectives) - len(values))


def write_trials(search: Search) -> Path:
    """Writes `trials.csv` with all trials; pruned ones with the last metric that they reported."""
    target = search.path / "trials.csv"
    lines = rows(search)
    text = StringIO()
    columns = list(lines[0]) if lines else ["trial", "state"]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    write_text(target, text.getvalue())
    return target


def write_best_trial(search: Search) -> Path | None:
    """Writes `best.yaml`: the overrides of the best trial, for `experiment=best_of`."""
    if search.best is None:
        return None
    reached = _reached(search, search.best)
    title = f"Trial {search.best.number} of the search {search.name}: {reached}"
    return write_best(search.path / FILE, title, best_overrides(search, search.best))


def best_overrides(search: Search, trial: "FrozenTrial") -> list[str]:
    """The overrides that compose a trial's config, without those of the search.

    If the trial has several seeds, the seed is left out.
    """
    runs = search.runs_of(trial)
    if not runs or not (runs[0] / "config.yaml").is_file():
        return [f"{key}={as_typed(value)}" for key, value in trial.params.items()]
    config, typed = read_mapping(runs[0] / "config.yaml"), read_overrides(runs[0])
    return words_of(config, typed, without=("seed",) if len(runs) > 1 else ())


def write_report(search: Search, figures: dict[str, Path]) -> Path:
    """Writes `report.md`: the best trials, failed trials with reasons, and figures."""
    target = search.path / "report.md"
    command = f"python train.py {' '.join(search.overrides)}".strip()
    parts = [f"# Search {search.name}", f"Continue it: `{command}`", f"{_counted(search)}."]
    if search.best is not None:
        parts += ["## Best", *_best_part(search)]
    shares = importance(search.study)
    if shares:
        lines = [{"parameter": k, "importance": f"{v:.3f}"} for k, v in shares.items()]
        parts += ["## Importances", markdown(lines)]
    failed = [row for row in rows(search) if row["state"] == "failed"]
    if failed:
        lines = [{k: row[k] for k in ("trial", "reason", "runs")} for row in failed]
        parts += ["## Failed", markdown(lines)]
    parts += ["## Trials", markdown(_leading(search))]
    parts += ["## Figures"] if figures else []
    parts += [f"![{name}]({file.relative_to(search.path)})" for name, file in figures.items()]
    write_text(target, "\n\n".join(parts) + "\n")
    return target


def _best_part(search: Search) -> list[str]:
    trial = search.best
    assert trial is not None
    lines = [{"parameter": k, "value": v} for k, v in trial.params.items()]
    parts = [f"Trial {trial.number}: {_reached(search, trial)}.", markdown(lines)]
    if len(search.objectives) > 1:
        front = sorted(t.number for t in search.study.best_trials)
        parts.append(f"No trial beats these in every objective: {', '.join(map(str, front))}.")
    return [*parts, f"Train it again: `python train.py experiment=best_of path={search.path}`"]


def _leading(search: Search) -> list[dict[str, Any]]:
    """The best trials, best first; unfinished ones come last."""
    first = search.objectives[0]
    sign = -1 if search.study.directions[0].name == "MAXIMIZE" else 1

    def place(row: dict[str, Any]) -> tuple[bool, float]:
        there = row["state"] == "finished"
        return not there, sign * row[first] if there else row["trial"]

    lines = sorted(rows(search), key=place)[:SHOWN]
    hidden = ("seconds", "reason", "runs")
    return [{k: _short(v) for k, v in line.items() if k not in hidden} for line in lines]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


def _reached(search: Search, trial: "FrozenTrial") -> str:
    pairs = zip(search.objectives, trial.values, strict=True)
    return ", ".join(f"{name} {value:.5g}" for name, value in pairs)


def _counted(search: Search) -> str:
    counts = ", ".join(f"{count} {state}" for state, count in search.counts.items())
    return f"{len(search.trials)} trials: {counts}"


def short(search: Search) -> str:
    """A short summary of the search for the terminal."""
    from arclight.console import table

    lines = [("trials", _counted(search).partition(": ")[2] or "none")]
    for reason, numbers in _reasons(search).items():
        lines.append(("failed", f"{reason} (trial {', '.join(map(str, numbers))})"))
    if search.best is not None:
        lines.append(("best", f"trial {search.best.number}: {_reached(search, search.best)}"))
        lines += [(f"  {name}", str(value)) for name, value in search.best.params.items()]
        lines.append(("again", f"python train.py experiment=best_of path={search.path}"))
    lines.append(("report", str(search.path / "report.md")))
    return table(lines, f"Search {search.name}")


def _reasons(search: Search) -> dict[str, Sequence[int]]:
    """The numbers of the failed trials, by the first line of the reason."""
    found: dict[str, list[int]] = {}
    for trial in search.trials:
        if state_of(trial) == "failed":
            reason = str(trial.user_attrs.get("reason") or "unknown reason")
            found.setdefault(reason.splitlines()[0], []).append(trial.number)
    return dict(found)
