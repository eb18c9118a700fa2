"""Save and restore the state of torchmetrics objects as plain values, for checkpoints.

`Metric.persistent(True)` would change the names in the module's state dict.
"""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection, MetricTracker

from arclight.libraries.missing import missing

FILE = "torchmetrics_state.py"


def metric_states(module: torch.nn.Module) -> dict[str, Any]:
    """Returns the state of all torchmetrics objects in a module, by their names."""
    modules = dict(module.named_modules())
    for collection in modules.values():
        if isinstance(collection, MetricCollection):
            collection.values(copy_state=False)  # updates metrics that share a state
    return {
        "increments": {
            name: tracker.n_steps
            for name, tracker in modules.items()
            if isinstance(tracker, MetricTracker)
        },
        "states": {
            name: {key: _on_cpu(value) for key, value in _state(metric).items()}
            for name, metric in modules.items()
            if isinstance(metric, Metric)
        },
    }


def restore_metrics(module: torch.nn.Module, saved: dict[str, Any]) -> list[str]:
    """Restores the state that `metric_states` returned.

    Returns:
        The names that the module no longer has.

    Raises:
        RuntimeError: this version of torchmetrics lacks a name that is used here.
    """
    modules = dict(module.named_modules())
    for name, count in saved["increments"].items():
        tracker = modules.get(name)
        while isinstance(tracker, MetricTracker) and tracker.n_steps < count:
            tracker.increment()
    metrics = {n: m for n, m in module.named_modules() if isinstance(m, Metric)}
    for name, state in saved["states"].items():
        if name not in metrics:
            continue
        metric = metrics[name]
        for attribute in ("_update_count", "_computed"):
            if not hasattr(metric, attribute):
                raise missing("torchmetrics", f"Metric.{attribute}", FILE)
        for key, value in state.items():
            setattr(metric, key, _on_device(value, metric.device))
        metric._computed = None  # a cache
    return [name for name in saved["states"] if name not in metrics]


def _state(metric: Metric) -> dict[str, Any]:
    """The metric's state, its counters such as the number of updates, and its other tensors."""
    attributes = vars(metric).items()
    numbers = {k: v for k, v in attributes if isinstance(v, (bool, int, float))}
    others = {k: v for k, v in attributes if isinstance(v, Tensor) and k[0] != "_"}
    return {**numbers, **others, **metric.metric_state}


def _on_cpu(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().cpu()
    return [_on_cpu(one) for one in value] if isinstance(value, list) else value


def _on_device(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device, copy=True)  # metrics that share a state are loaded with one tensor
    return [_on_device(one, device) for one in value] if isinstance(value, list) else value
