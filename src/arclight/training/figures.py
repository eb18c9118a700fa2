"""An epoch's figures, kept in checkpoints, so that a resumed run's `metrics.csv` is the same.

What a module measures with torchmetrics, what it logs with `self.log(on_epoch=True)`, and how much
of the file was written.
"""

from collections.abc import Callable, Iterator
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from arclight.libraries.figures import log_again, logged
from arclight.training.loggers import MetricsFile

KEY = "figures"
"""Under which a checkpoint keeps them: `ranks`, a dict of each process, and `file`."""


class Figures(Callback):
    """Saves and restores the figures of the epoch in hand, of each process its own.

    Args:
        inexact: told a sentence where they cannot be restored.
    """

    def __init__(self, inexact: Callable[[str], None] = lambda _: None) -> None:
        self.inexact = inexact
        self._kept: list[dict[str, Any]] | None = None

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        mine = {"metrics": dict(measured(pl_module)), "logged": logged(trainer)}
        file = next((lg for lg in trainer.loggers if isinstance(lg, MetricsFile)), None)
        checkpoint[KEY] = {"ranks": _of_all_ranks(mine), "file": file.mark() if file else None}

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._kept = checkpoint[KEY]["ranks"] if KEY in checkpoint else None

    def on_train_started(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        kept, self._kept = self._kept, None
        if kept is None:
            return
        if len(kept) != trainer.world_size:
            self.inexact(
                f"It went on on {trainer.world_size} processes after {len(kept)}, and what each of "
                "these had measured of the epoch could not be shared out."
            )
        if trainer.global_rank >= len(kept):
            return
        mine = kept[trainer.global_rank]
        if strange := measure_again(pl_module, mine["metrics"]):
            self.inexact(f"The state of {', '.join(strange)} has no place in the module any more.")
        log_again(trainer, pl_module, mine["logged"])


def measured(module: torch.nn.Module) -> Iterator[tuple[str, dict[str, Any]]]:
    """The names of all torchmetrics objects within a module, and their state."""
    metrics = [
        (n, m) for n, m in module.named_modules() if isinstance(m, (Metric, MetricCollection))
    ]
    for _, collection in metrics:
        if isinstance(collection, MetricCollection):
            collection.values(copy_state=False)  # those that share a state get the newest
    for name, metric in metrics:
        if isinstance(metric, Metric):
            yield (
                name,
                {
                    "state": {k: _on_cpu(v) for k, v in _state(metric).items()},
                    "updates": metric.update_count,
                },
            )


def measure_again(module: torch.nn.Module, kept: dict[str, Any]) -> list[str]:
    """Gives the metrics the state that `measured` has found; returns the names it has not."""
    metrics = {n: m for n, m in module.named_modules() if isinstance(m, Metric)}
    for name, one in kept.items():
        if name not in metrics:
            continue
        metric = metrics[name]
        if not hasattr(metric, "_update_count"):
            raise RuntimeError("This version of torchmetrics counts updates in another way.")
        for key, value in one["state"].items():
            setattr(metric, key, _on_device(value, metric.device))
        metric._update_count, metric._computed = one["updates"], None
    return [name for name in kept if name not in metrics]


def _state(metric: Metric) -> dict[str, Any]:
    """Its state, and tensors that it holds beside, as `MinMaxMetric` does; no caches."""
    beside = {k: v for k, v in vars(metric).items() if isinstance(v, Tensor) and k[0] != "_"}
    return {**beside, **metric.metric_state}


def _on_cpu(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().cpu()
    return [_on_cpu(one) for one in value] if isinstance(value, list) else value


def _on_device(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device, copy=True)  # two that share a state are loaded as one tensor
    return [_on_device(one, device) for one in value] if isinstance(value, list) else value


def _of_all_ranks(mine: dict[str, Any]) -> list[dict[str, Any]]:
    """What each process has; the checkpoint is written by one of them for all."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return [mine]
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, mine)
    return gathered
