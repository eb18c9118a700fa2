"""Save and restore Lightning's results of an epoch, which its checkpoints do not contain.

These are the running means of `self.log(on_epoch=True)`, and the last value of each logged metric,
which schedules and callbacks monitor. Lightning has no public names for them.
"""

from dataclasses import fields
from typing import Any

import lightning as L
import torch
from lightning.pytorch.trainer.connectors.logger_connector.logger_connector import (
    _LoggerConnector,
)
from lightning.pytorch.trainer.connectors.logger_connector.result import (
    _Metadata,
    _ResultCollection,
    _ResultMetric,
    _Sync,
)
from torch import Tensor
from torchmetrics import Metric

from arclight.libraries.missing import missing

FILE = "lightning_results.py"
_LAST = ("_callback_metrics", "_logged_metrics", "_progress_bar_metrics")
_ARGUMENTS = (
    *("fx", "name", "prog_bar", "logger", "on_step", "on_epoch", "enable_graph"),
    *("add_dataloader_idx", "dataloader_idx", "metric_attribute"),
)  # arguments of `self.log`, saved unchanged
_STATE = ("_forward_cache", "_computed", "_update_count", "has_reset")


def logged_results(trainer: L.Trainer) -> dict[str, Any]:
    """Returns the running means of the current epoch and the last value of each metric.

    All values are plain values or tensors on the CPU.
    """
    connector = trainer._logger_connector
    results = trainer.fit_loop.epoch_loop._results
    return {
        "means": {key: _saved(metric) for key, metric in results.items()},
        "last": {name: _on_cpu(getattr(connector, name)) for name in _LAST},
        "begun": connector._first_loop_iter is not None,
    }


def restore_results(trainer: L.Trainer, module: L.LightningModule, saved: dict[str, Any]) -> None:
    """Restores the results that `logged_results` returned."""
    connector = trainer._logger_connector
    for name, values in saved["last"].items():
        setattr(connector, name, _moved(values, module.device))
    if saved["begun"]:  # otherwise, the next batch would reset the means
        connector._first_loop_iter = True
    results = trainer.fit_loop.epoch_loop._results
    metrics = dict(module.named_modules())
    for key, one in saved["means"].items():
        attribute = one["arguments"]["metric_attribute"]
        if attribute is not None and attribute not in metrics:
            continue  # the code has changed
        results[key] = _restored(one, trainer, module.device, metrics.get(attribute))


def _saved(metric: _ResultMetric) -> dict[str, Any]:
    meta = metric.meta
    names = tuple(metric._defaults) if metric.is_tensor else ()
    return {
        "arguments": {name: getattr(meta, name) for name in _ARGUMENTS},
        "reduce": meta.reduce_fx.__name__,
        "sync": {"_should": meta.sync.should, "rank_zero_only": meta.sync.rank_zero_only},
        "state": _on_cpu({name: getattr(metric, name) for name in (*names, *_STATE)}),
    }


def _restored(
    saved: dict[str, Any], trainer: L.Trainer, device: torch.device, of: Metric | None
) -> _ResultMetric:
    reduce = getattr(torch, saved["reduce"])
    meta = _Metadata(**saved["arguments"], reduce_fx=reduce)
    meta.sync = _Sync(fn=trainer.strategy.reduce, **saved["sync"])
    metric = _ResultMetric(meta, is_tensor=of is None)
    for name, value in _moved(saved["state"], device).items():
        setattr(metric, name, value)
    if of is not None:
        metric.value = of
    return metric


def _on_cpu(values: dict[str, Any]) -> dict[str, Any]:
    return {k: v.detach().cpu() if isinstance(v, Tensor) else v for k, v in values.items()}


def _moved(values: dict[str, Any], device: torch.device) -> dict[str, Any]:
    return {k: v.to(device) if isinstance(v, Tensor) else v for k, v in values.items()}


def require_results() -> None:
    """Raises `RuntimeError` if this version of Lightning stores its results differently."""
    has = {f.name for kind in (_Metadata, _Sync) for f in fields(kind)}
    connector = _LoggerConnector.__new__(_LoggerConnector)
    _LoggerConnector.__init__(connector, None)  # type: ignore[arg-type]
    results = _ResultCollection(training=True)
    results.log("training_step", "loss", torch.tensor(1.0), on_step=True)
    has |= set(vars(connector)) | set(vars(results["training_step.loss"]))
    used = (*_ARGUMENTS, *_LAST, *_STATE, "reduce_fx", "_should", "rank_zero_only", "fn")
    gone = [name for name in (*used, "_first_loop_iter", "value", "meta") if name not in has]
    if gone:
        raise missing("lightning", ", ".join(gone), FILE)
