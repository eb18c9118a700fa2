"""Compares two runs: configs, code, metrics, curves and predictions."""

from typing import Any

from arclight.config.freeze import differences
from arclight.paper.examples import paired
from arclight.provenance.code import differing, last_executed
from arclight.report.differences import INCIDENTAL
from arclight.report.examples import read_examples
from arclight.report.results import read
from arclight.report.tables import markdown
from arclight.run_directory import RunDirectory, open_run
from arclight.training.loggers import read_metrics

POINTS = 10  # points of each curve to compare


def side_by_side(first: str, second: str) -> str:
    """The comparison of two runs, as Markdown.

    Raises:
        UserError: one of them is not a run, or one of its files is damaged.
    """
    a, b = open_run(first), open_run(second)
    results = read(a.path), read(b.path)
    parts = [
        f"# {first} and {second}",
        "## Config",
        _listed(differences(_plain(a), _plain(b))),
        "## Code",
        _code(a, b),
        "## Metrics",
        markdown(_metrics(a, b)) or "Neither has any.",
        "## Curves",
        _curves(a, b, results[0].monitor),
        "## Predictions",
        _predictions(a, b),
    ]
    return "\n\n".join(parts)


def _plain(run: RunDirectory) -> dict[str, Any]:
    return {key: value for key, value in run.config.items() if key not in INCIDENTAL}


def _listed(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines) or "Nothing differs."


def _code(a: RunDirectory, b: RunDirectory) -> str:
    codes = [last_executed(run.manifest) for run in (a, b)]
    if codes[0] is None or codes[1] is None:
        return "One of the runs has not recorded its code."
    return _listed(differing(codes[0], codes[1]))


def _metrics(a: RunDirectory, b: RunDirectory) -> list[dict[str, Any]]:
    both = [
        {
            **(run.summary.get("metrics") or {}),
            "parameters": run.summary.get("parameters"),
            "training_seconds": run.summary.get("training_seconds"),
        }
        for run in (a, b)
    ]
    rows = []
    for name in dict.fromkeys([*both[0], *both[1]]):
        one, other = both[0].get(name), both[1].get(name)
        step = None if one is None or other is None else one - other
        rows.append({"metric": name, "first": one, "second": other, "difference": _short(step)})
    return [row for row in rows if (row["first"], row["second"]) != (None, None)]


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:+.4g}"


def _curves(a: RunDirectory, b: RunDirectory, monitor: str) -> str:
    """The metric that selects checkpoints, at a few common steps."""
    found = []
    for run in (a, b):
        rows = read_metrics(run.metrics_file) if run.metrics_file.is_file() else []
        found.append({int(float(r["step"])): float(r[monitor]) for r in rows if r.get(monitor)})
    steps = sorted(found[0].keys() & found[1].keys())
    if not steps:
        return f"They have no common step with {monitor}."
    chosen = sorted({steps[round(i * (len(steps) - 1) / (POINTS - 1))] for i in range(POINTS)})
    return markdown(
        [
            {
                "step": step,
                f"first {monitor}": f"{found[0][step]:.4g}",
                f"second {monitor}": f"{found[1][step]:.4g}",
            }
            for step in chosen
        ]
    )


def _predictions(a: RunDirectory, b: RunDirectory) -> str:
    one, other = (read_examples(run.predictions_file) for run in (a, b))
    if one is None or other is None:
        return "One of the runs has no predictions: its task saves none, or it was not tested."
    both = paired(one, other)
    if both is None:
        return "They have different examples, or do not predict classes."
    return (
        f"Of {both.n} examples only the first run is correct on {both.only_first}, only the second "
        f"on {both.only_second}; McNemar's exact p = {both.p:.2g}. The difference in accuracy is "
        f"{both.difference:+.4f} [{both.low:+.4f}, {both.high:+.4f}] (95%, bootstrap of the "
        "examples)."
    )
