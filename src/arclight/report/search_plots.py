"""Plots of a study: history, importances, slices, Pareto front, parallel coordinates."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arclight.canvas import figure, save
from arclight.report.search_results import parameters_of, state_of, values_of

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

MISSING = object()  # stands for the value of a parameter that a trial does not have


def draw(study: "Study", names: list[str], folder: Path) -> dict[str, Path]:
    """Draws all plots for which the study has data; returns the files by name.

    Args:
        study: Optuna's study.
        names: of the objectives.
        folder: the folder of the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, Callable[[Study, list[str], Path], Path | None]] = {
        "history": history,
        "importances": importances,
        "slices": slices,
        "pareto": pareto,
        "parallel": parallel,
    }
    drawn = {name: make(study, names, folder / f"{name}.png") for name, make in pictures.items()}
    return {name: path for name, path in drawn.items() if path}


def history(study: "Study", names: list[str], target: Path) -> Path | None:
    """Each objective by trial, and the best so far; pruned trials in grey."""
    finished = finished_trials(study)
    if not finished:
        return None
    drawn, axes = figure(len(names), 4.8)
    for i, (axis, name) in enumerate(zip(axes, names, strict=True)):
        better = max if study.directions[i].name == "MAXIMIZE" else min
        numbers = [trial.number for trial in finished]
        values = [trial.values[i] for trial in finished]
        axis.scatter(numbers, values, s=16, label="finished")
        axis.step(numbers, list(accumulate(values, better)), where="post", label="best so far")
        cut = [(t.number, v[i]) for t, v in _pruned(study) if i < len(v)]
        if cut:
            places, reached = zip(*cut, strict=True)
            axis.scatter(places, reached, s=14, marker="x", color="0.7", label="pruned")
        axis.set(xlabel="trial", ylabel=name)
        axis.grid(alpha=0.3)
        axis.legend()
    return save(drawn, target)


def importances(study: "Study", names: list[str], target: Path) -> Path | None:
    """The share of each objective's variance that each parameter explains, by Optuna."""
    found = [importance(study, i) for i in range(len(names))]
    if not any(found):
        return None
    drawn, axes = figure(len(names), 4.8)
    for axis, name, shares in zip(axes, names, found, strict=True):
        labels = list(reversed(shares))
        axis.barh(labels, [shares[label] for label in labels])
        axis.set(xlabel=f"importance for {name}", xlim=(0, 1))
    return save(drawn, target)


def importance(study: "Study", objective: int = 0) -> dict[str, float]:
    """Optuna's importance of each parameter, the largest first; empty if it is not defined."""
    from optuna.importance import get_param_importances

    sign = (
        -1 if study.directions[objective].name == "MAXIMIZE" else 1
    )  # Optuna treats low targets as good
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="PedAnova")  # it warns about low targets
            warnings.filterwarnings("error", message="The number of trials is too small")
            shares = get_param_importances(
                study, target=lambda trial: sign * float(trial.values[objective])
            )
    except (
        ValueError,
        RuntimeError,
        UserWarning,
    ):  # too few trials, or no parameter that all of them have
        return {}
    return {name: float(share) for name, share in shares.items() if math.isfinite(share)}


def slices(study: "Study", names: list[str], target: Path) -> Path | None:
    """Each objective against each parameter; later trials are darker."""
    finished = finished_trials(study)
    parameters = parameters_of(finished)
    if not parameters:
        return None
    drawn, axes = figure(len(parameters), 3.6, rows=len(names))
    cells = [(i, parameter) for i in range(len(names)) for parameter in parameters]
    for axis, (i, parameter) in zip(axes, cells, strict=True):
        having = [trial for trial in finished if parameter in trial.params]
        scale = Scale.of([trial.params[parameter] for trial in having])
        values, order = [trial.values[i] for trial in having], [trial.number for trial in having]
        axis.scatter(scale.places, values, c=order, cmap="Blues", edgecolors="0.4", s=24)
        if scale.labels:
            axis.set_xticks(range(len(scale.labels)), scale.labels, rotation=30, ha="right")
        elif scale.logarithmic:
            axis.set_xscale("log")
        axis.set(xlabel=parameter, ylabel=names[i])
        axis.grid(alpha=0.3)
    return save(drawn, target)


def pareto(study: "Study", names: list[str], target: Path) -> Path | None:
    """The first objective against each other one, with the Pareto front."""
    finished = finished_trials(study)
    if len(names) < 2 or not finished:
        return None
    front = study.best_trials
    drawn, axes = figure(len(names) - 1, 4.8)
    for j, axis in enumerate(axes, start=1):
        across, up = [t.values[j] for t in finished], [t.values[0] for t in finished]
        axis.scatter(across, up, s=16, color="0.7", label="dominated")
        points = sorted((t.values[j], t.values[0]) for t in front)
        style = "o-" if len(names) == 2 else "o"  # with three objectives a line would mean nothing
        axis.plot(*zip(*points, strict=True), style, label="front")
        axis.set(xlabel=names[j], ylabel=names[0])
        axis.grid(alpha=0.3)
        axis.legend()
    return save(drawn, target)


def parallel(study: "Study", names: list[str], target: Path) -> Path | None:
    """Parallel coordinates: a line for each finished trial through its parameters."""
    import matplotlib
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    finished = finished_trials(study)
    parameters = parameters_of(finished)
    if not parameters:
        return None
    name = names[0]
    goal = [trial.values[0] for trial in finished]
    colour = ScalarMappable(Normalize(min(goal), max(goal)), matplotlib.colormaps["viridis"])
    drawn, (axis,) = figure(1, 5.0)
    drawn.set_size_inches(max(5.0, 1.8 * (len(parameters) + 1)), 5.0)
    scales = [Scale.of([t.params.get(p, MISSING) for t in finished]) for p in parameters]
    scales.append(Scale.of(goal))
    for heights, value in zip(zip(*(s.heights for s in scales), strict=True), goal, strict=True):
        axis.plot(heights, color=colour.to_rgba(value), alpha=0.7)
    for x, scale in enumerate(scales):
        for height, label in scale.marks:
            axis.annotate(label, (x, height), (3, 0), textcoords="offset points", va="center")
    axis.set_xticks(range(len(scales)), [*parameters, name], rotation=20, ha="right")
    axis.set(yticks=[], xlim=(-0.2, len(scales) - 0.5), ylim=(-0.08, 1.08))
    axis.grid(axis="x")
    drawn.colorbar(colour, ax=axis, label=name)
    return save(drawn, target)


def finished_trials(study: "Study") -> "list[FrozenTrial]":
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if state_of(trial) == "finished"]


def _pruned(study: "Study") -> "list[tuple[FrozenTrial, list[float]]]":
    trials = study.get_trials(deepcopy=False)
    found = [(trial, values_of(trial)) for trial in trials if state_of(trial) == "pruned"]
    return [(trial, values) for trial, values in found if values]


@dataclass(frozen=True)
class Scale:
    """The positions of values on an axis.

    Attributes:
        places: position of each value; NaN if a trial has none (a conditional parameter).
        labels: of categories, which are at 0, 1, 2 and so on; empty for numbers.
        logarithmic: whether the axis is logarithmic.
    """

    places: list[float]
    labels: list[str]
    logarithmic: bool

    @classmethod
    def of(cls, values: Sequence[Any]) -> "Scale":
        there = [v for v in values if v is not MISSING]
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in there):
            places = [math.nan if v is MISSING else float(v) for v in values]
            return cls(places, [], min(there) > 0 and max(there) / min(there) >= 50)
        labels = sorted({str(v) for v in there})
        return cls(
            [math.nan if v is MISSING else float(labels.index(str(v))) for v in values],
            labels,
            False,
        )

    @property
    def heights(self) -> list[float]:
        """The positions, scaled to 0 to 1."""
        places = [math.log(p) for p in self.places] if self.logarithmic else self.places
        there = [p for p in places if not math.isnan(p)]
        low, width = min(there), max(there) - min(there)
        return [(p - low) / width if width else 0 * p + 0.5 for p in places]

    @property
    def marks(self) -> list[tuple[float, str]]:
        """Labels of an axis from 0 to 1: each category, or both ends."""
        if self.labels:
            last = max(len(self.labels) - 1, 1)
            return [(i / last, label) for i, label in enumerate(self.labels)]
        there = [p for p in self.places if not math.isnan(p)]
        return [(0.0, f"{min(there):.3g}"), (1.0, f"{max(there):.3g}")]
