"""The settings of a search, explained in `configs/search/_search.yaml`."""

from dataclasses import dataclass
from typing import Any, Literal

from arclight.errors import UserError
from arclight.ranges import Count, Natural, Positive

# Possible objectives besides validation metrics.
OTHER_METRICS = ("parameters", "latency_ms", "training_seconds", "seconds")

# Settings that may change when a search is continued: they do not change its trials.
MAY_CHANGE = (
    *("dir", "n_trials", "workers", "worker", "threads", "gpus_per_trial"),
    *("retry", "max_failures", "dry_run"),
)


@dataclass(frozen=True)
class Objective:
    """A metric of `summary.json`, and its direction."""

    metric: str
    direction: Literal["minimize", "maximize"]

    def of(self, summary: dict[str, Any]) -> float | None:
        """The metric of a finished run; None if it was not logged."""
        value = summary["metrics"].get(self.metric, summary.get(self.metric))
        return None if value is None else float(value)


@dataclass(frozen=True)
class Search:
    """The settings of a search, explained in `configs/search/_search.yaml`."""

    name: str
    dir: str
    space: dict[str, Any]
    n_trials: Count | None = None
    sampler: Literal["tpe", "random", "grid", "cmaes"] = "tpe"
    seed: int = 0
    seeds: list[int] | None = None
    objectives: list[dict[str, Any]] | None = None
    pruner: Literal["asha", "hyperband", "median"] | None = None
    prune_after: Count = 1
    prune_factor: int = 3
    workers: Count | None = None
    worker: Natural | None = None
    threads: Count | None = None
    gpus_per_trial: Positive = 1.0
    retry: Natural = 2
    max_failures: Count | None = None
    storage: str = "sqlite"
    dry_run: bool = False

    def faults(self) -> list[str]:
        """One line for each setting with an invalid value."""
        found = []
        if self.prune_factor < 2:
            found.append(f"search.prune_factor={self.prune_factor} should be 2 or more.")
        if self.gpus_per_trial > 1 and self.gpus_per_trial != int(self.gpus_per_trial):
            found.append(
                f"search.gpus_per_trial={self.gpus_per_trial} should be a whole number of GPUs, "
                "or a share of one such as 0.5."
            )
        if not self.space:
            found.append("search.space is empty: give at least one key of the config.")
        if self.n_trials is None and self.sampler != "grid":
            found.append(
                f"search.n_trials must be given with search.sampler={self.sampler}: "
                "only a grid has a fixed number of trials."
            )
        if self.seeds is not None and (not self.seeds or len(set(self.seeds)) < len(self.seeds)):
            found.append(f"search.seeds={self.seeds} should be a list of different seeds, or null.")
        if self.pruner and len(self.objectives or ()) > 1:
            found.append(
                f"search.pruner={self.pruner} needs a single objective; with several type "
                "search.pruner=null."
            )
        return found

    def aims(self, config: dict[str, Any]) -> list[Objective]:
        """The objectives; by default the metric that selects the best checkpoint.

        Args:
            config: the config of a trial.

        Raises:
            UserError: an objective is not valid, or there is none.
        """
        checkpoints = config["callbacks"]["checkpoints"]
        monitor = checkpoints.get("monitor")
        if not self.objectives and monitor is None:
            raise UserError(
                "No metric selects the best trial: type callbacks.checkpoints.monitor=val_loss "
                "callbacks.checkpoints.mode=min, with a metric that the module logs, or add "
                "objectives: [{metric: val_loss, direction: minimize}] to the search."
            )
        nodes = self.objectives or [
            {
                "metric": monitor,
                "direction": "maximize" if checkpoints.get("mode") == "max" else "minimize",
            }
        ]
        return [_objective(node, bool(self.pruner), monitor) for node in nodes]


def _objective(node: dict[str, Any], prunes: bool, monitor: str | None) -> Objective:
    if not isinstance(node, dict) or set(node) != {"metric", "direction"}:
        raise UserError(
            f"search.objectives: {node} should be like {{metric: val/loss, direction: minimize}}."
        )
    metric, direction = str(node["metric"]), node["direction"]
    if direction not in ("minimize", "maximize"):
        raise UserError(
            f"search.objectives: the direction of {metric} is {direction}; "
            "it should be minimize or maximize."
        )
    if metric.startswith("test/"):
        raise UserError(
            f"search.objectives: {metric} is a test metric, which must not be used to select "
            f"hyperparameters; type {metric.replace('test/', 'val/', 1)}."
        )
    validated = metric.startswith(("val/", "val_")) or metric == monitor
    if not validated and (prunes or metric not in OTHER_METRICS):
        others = "" if prunes else f", {', '.join(OTHER_METRICS)}"
        raise UserError(
            f"search.objectives: {metric} is not a metric to "
            f"{'prune' if prunes else 'search'} by; choose a validation metric (val/...){others}."
        )
    return Objective(metric, direction)
