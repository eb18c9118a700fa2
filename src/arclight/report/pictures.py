"""Plots of runs and searches, with a folder for each."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arclight.errors import UserError
from arclight.report.differences import differing
from arclight.report.metrics import larger_is_better
from arclight.report.results import Result
from arclight.report.search_plots import draw
from arclight.report.search_results import open_search

if TYPE_CHECKING:
    from optuna import Study


def draw_all(places: Sequence[str], results: Sequence[Result], folder: Path) -> list[Path]:
    """Draws the plots of each search in the folders, and of the runs outside searches.

    Each has a folder of its own, unless there is only one.

    Raises:
        UserError: there is nothing to draw.
    """
    searches = [open_search(path) for path in find_searches(places)]
    inside = [search.path.resolve() for search in searches]
    others = [r for r in results if not any(p in r.path.resolve().parents for p in inside)]
    parts: list[tuple[str, Study, list[str]]] = [(s.name, s.study, s.objectives) for s in searches]
    if any(result.status == "finished" for result in others):
        parts.append(("runs", *study_of(others)))
    if not parts:
        raise UserError("There is nothing to draw yet: no search and no finished run.")
    drawn: list[Path] = []
    for name, study, objectives in parts:
        target = folder / name if len(parts) > 1 else folder
        drawn += draw(study, objectives, target).values()
    return drawn


def find_searches(places: Sequence[str | Path]) -> list[Path]:
    """The search directories within the folders, at any depth."""
    found = {file.parent for place in places for file in Path(place).glob("**/search.yaml")}
    return sorted(found)


def study_of(results: Sequence[Result]) -> "tuple[Study, list[str]]":
    """Runs as a study in memory; the keys that differ are its parameters.

    The objective is the metric by which most finished runs select checkpoints; runs without it, and
    those where it is not finite, are left out.
    """
    import optuna
    from optuna.trial import create_trial

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    monitors = [result.monitor for result in results if result.status == "finished"]
    name = max(monitors, key=monitors.count)
    upwards = larger_is_better(name, results)
    study = optuna.create_study(direction="maximize" if upwards else "minimize")
    having = [r for r in results if math.isfinite(r.metrics.get(name, math.nan))]
    columns = {
        key: [result.settings[key] for result in having]
        for key in differing(having)
        if all(key in result.settings for result in having)
    }
    ranges = {key: _distribution(values) for key, values in columns.items()}
    for i, result in enumerate(having):
        params = {key: _stored(values[i], ranges[key]) for key, values in columns.items()}
        study.add_trial(
            create_trial(params=params, distributions=ranges, value=result.metrics[name])
        )
    return study, [name]


def _distribution(values: Sequence[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return FloatDistribution(float(min(values)), float(max(values)))
    return CategoricalDistribution(list(dict.fromkeys(map(str, values))))


def _stored(value: Any, distribution: Any) -> Any:
    return str(value) if hasattr(distribution, "choices") else float(value)
