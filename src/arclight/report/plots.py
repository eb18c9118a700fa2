"""Learning curves of a run."""

import re
from collections.abc import Sequence
from pathlib import Path

from arclight.canvas import figure, save
from arclight.training.loggers import read_metrics

MAX_METRICS = 4  # drawn metrics of a module that logs neither loss nor accuracy
NAMED = re.compile(r"(?P<stage>train|val)[/_](?P<name>.+?)(_epoch|_step)?")


def curves(metrics_file: Path, target: Path) -> Path | None:
    """Draws training and validation metrics against steps, from a `metrics.csv`.

    These are loss and accuracy if logged, else the first few metrics with names such as
    `train/NAME`, `train_NAME` and `val_NAME`. None: there are no such metrics.
    """
    rows = read_metrics(metrics_file)
    found = _by_name(rows)
    names = [n for n in ("loss", "accuracy") if "train" in found.get(n, {})] or [*found][
        :MAX_METRICS
    ]
    if not names:
        return None
    drawn, axes = figure(len(names), 4.8, layout=None)
    drawn.subplots_adjust(0.15 / len(names), 0.11, 1 - 0.04 / len(names), 0.97)
    for axis, name in zip(axes, names, strict=True):
        for stage, key in sorted(found[name].items()):
            points = [(int(r["step"]), float(r[key])) for r in rows if r.get(key)]
            if points:
                alone = "." if len(points) == 1 else ""  # a line with one point is invisible
                axis.plot(*zip(*points, strict=True), marker=alone, label=stage)
        axis.set(xlabel="step", ylabel=name)
        axis.grid(alpha=0.3)
        axis.legend()
    return save(drawn, target)


def _by_name(rows: Sequence[dict[str, str]]) -> dict[str, dict[str, str]]:
    """Columns by metric and stage, such as `{"loss": {"train": "train/loss"}}`."""
    found: dict[str, dict[str, str]] = {}
    for column in rows[-1] if rows else ():
        match = NAMED.fullmatch(column)
        if match and any(row.get(column) for row in rows):
            found.setdefault(match["name"], {}).setdefault(match["stage"], column)
    return found
