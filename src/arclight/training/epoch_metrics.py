"""Metrics of the current epoch, saved in checkpoints, so that a resumed run logs the same rows.

These are the states of torchmetrics objects, the running means of `self.log(on_epoch=True)`, and
the number of rows written to `metrics.csv`.
"""

from collections.abc import Callable
from typing import Any

import lightning as L
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback

from arclight.libraries.lightning_results import logged_results, restore_results
from arclight.libraries.torchmetrics_state import metric_states, restore_metrics
from arclight.training.loggers import MetricsFile

KEY = "epoch_metrics"
"""Their key in a checkpoint: `ranks`, one dict for each process, and `file`."""


class EpochMetrics(Callback):
    """Saves and restores the metrics of the current epoch, separately for each process.

    Args:
        inexact: called with the reason if they cannot be restored.
    """

    def __init__(self, inexact: Callable[[str], None] = lambda _: None) -> None:
        self.inexact = inexact
        self._saved: list[dict[str, Any]] | None = None

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        mine = {"metrics": metric_states(pl_module), "logged": logged_results(trainer)}
        file = next((lg for lg in trainer.loggers if isinstance(lg, MetricsFile)), None)
        checkpoint[KEY] = {"ranks": _of_all_ranks(mine), "file": file.mark() if file else None}

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._saved = checkpoint[KEY]["ranks"] if KEY in checkpoint else None

    def on_train_started(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        saved, self._saved = self._saved, None
        if saved is None:
            return
        if len(saved) != trainer.world_size:
            self.inexact(
                f"It was resumed on {trainer.world_size} processes after {len(saved)}: the metrics "
                "that each process had computed in that epoch are not redistributed."
            )
        if trainer.global_rank >= len(saved):
            return
        mine = saved[trainer.global_rank]
        if unknown := restore_metrics(pl_module, mine["metrics"]):
            self.inexact(f"The module no longer has the metrics {', '.join(unknown)}.")
        restore_results(trainer, pl_module, mine["logged"])


def _of_all_ranks(mine: dict[str, Any]) -> list[dict[str, Any]]:
    """The values of all processes; the first process writes the checkpoint for all."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return [mine]
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, mine)
    return gathered
