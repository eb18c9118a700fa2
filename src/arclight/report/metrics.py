"""The metrics of runs: which are shown, and which direction is better."""

import re
from collections.abc import Sequence

from arclight.config.suggest import did_you_mean
from arclight.errors import UserError
from arclight.metric_names import better_direction
from arclight.report.results import OTHER, Result

MAX_METRICS = 4  # metrics shown by default if a run does not have its monitored metric


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
    return tail not in OTHER and better_direction(name) != "min"
