"""The search for each row of a paper, and its best score by number of trials."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arclight.canvas import figure
from arclight.console import say
from arclight.errors import UserError
from arclight.paper.cells import merged, tuning_folder, words_of
from arclight.paper.figures import Style, save
from arclight.paper.outcomes import Outcomes
from arclight.paper.settings import Paper, is_upwards
from arclight.search.run_search import run_search
from arclight.search.settings import Search

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRIALS = "trials.csv"


def tune(paper: Paper, typed: Sequence[str], folder: Path) -> int:
    """Runs a search for every row and column in turn; returns a signal's exit code or 0.

    All searches have the same number of trials. They select by the validation metric and use the
    first repetition's seed.

    Raises:
        UserError: a search has no space.
    """
    wanted = paper.tuning()
    if wanted is None:
        return 0
    for column in paper.all_columns():
        for row in paper.all_rows():
            space = {**wanted.space, **row.space}
            if not space:
                raise UserError(
                    f"paper.rows.{row.name} has no search space: give paper.tune.space or "
                    f"paper.rows.{row.name}.space."
                )
            place = tuning_folder(folder, row.name, column.name)
            if (place / "best.yaml").is_file() and _ended(place) >= wanted.n_trials:
                continue
            say(f"Tuning {row.name} on {column.name} with {wanted.n_trials} trials.")
            node: dict[str, Any] = {
                "name": f"{paper.name}-{row.name}-{column.name}",
                "dir": str(place),
                "space": space,
                "n_trials": wanted.n_trials,
                "sampler": wanted.sampler,
                "seed": wanted.seed,
                "workers": paper.workers,
                "threads": paper.threads,
                "gpus_per_trial": paper.gpus_per_trial,
                "retry": paper.retry,
            }
            words = merged(words_of(paper, row, column, typed), wanted.overrides)
            code = run_search(Search(**node), node, words)
            if code >= 128:
                return code
            if not (place / "best.yaml").is_file():
                say(f"No trial of {row.name} on {column.name} has finished: it gets no runs.")
    return 0


def _ended(folder: Path) -> int:
    file = folder / TRIALS
    if not file.is_file():
        return 0
    with file.open(newline="") as lines:
        return sum(
            row["state"] in ("finished", "failed", "pruned") for row in csv.DictReader(lines)
        )


def best_so_far(outcomes: Outcomes) -> list[dict[str, Any]]:
    """For each row and column, the best validation score after each trial of its search."""
    rows: list[dict[str, Any]] = []
    for row in outcomes.rows:
        for column in outcomes.columns:
            file = tuning_folder(outcomes.folder, row, column) / TRIALS
            if not file.is_file():
                continue
            with file.open(newline="") as lines:
                trials = sorted(csv.DictReader(lines), key=lambda trial: int(trial["trial"]))
            metric = next((k for k in trials[0] if k.startswith("val")), None) if trials else None
            best: float | None = None
            for count, trial in enumerate(trials, start=1):
                if metric and trial["state"] == "finished":
                    value = float(trial[metric])
                    better = max if is_upwards(metric) else min
                    best = value if best is None else better(best, value)
                rows.append({"row": row, "column": column, "trials": count, "best": best})
    return rows


def draw_tuning(outcomes: Outcomes, target: Path) -> Path | None:
    """Draws the best score so far against the number of trials; None if nothing was tuned."""
    rows = [row for row in best_so_far(outcomes) if row["best"] is not None]
    if not rows:
        return None
    drawn: Figure
    drawn, axes = figure(len(outcomes.columns), 4.4)
    for axis, column in zip(axes, outcomes.columns, strict=True):
        for place, row in enumerate(outcomes.rows):
            mine = [r for r in rows if (r["row"], r["column"]) == (row, column)]
            if not mine:
                continue
            style = Style.of(place)
            axis.step(
                [r["trials"] for r in mine],
                [r["best"] for r in mine],
                where="post",
                label=row,
                color=style.colour,
                linestyle=style.dash,
                marker=style.mark,
                markersize=4,
            )
        axis.set(xlabel="trials", ylabel="best validation score so far")
        axis.set_title(column if len(outcomes.columns) > 1 else "")
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(fontsize=8)
    return save(drawn, target)
