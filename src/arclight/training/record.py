"""Figures of training and validation, to every logger, at a cost only in logging steps."""

import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from arclight.tasks.task import Task
from arclight.training.finite import require_finite_loss


class Record(Callback):
    """Logs means of the last steps every `log_every_n_steps`, and each validation's figures.

    Between those steps it does nothing; in them it reads the task's sums, which is the only time
    that the host waits for the device. The loss read is checked to be finite.
    """

    def __init__(self, every_n_steps: int, stop_on_nonfinite: bool) -> None:
        self.every_n_steps = every_n_steps
        self.stop_on_nonfinite = stop_on_nonfinite
        self.latest: dict[str, float] = {}  # for the progress bar
        self._restored: list[list[float]] | None = None
        self._began = 0.0
        self._last = -1

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, Task)
        pl_module.sums.restore(self._restored, trainer.global_rank, pl_module.device)
        self._last = trainer.global_step
        self._began = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        step = trainer.global_step
        if step % self.every_n_steps == 0 and step != self._last:
            self._record(trainer, pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn != "fit":
            return
        if trainer.global_step != self._last:
            self._record(trainer, pl_module)  # so that each validation has its training figures
        figures = {k: float(v) for k, v in trainer.callback_metrics.items() if k[:4] == "val/"}
        self.latest |= figures
        self._log(trainer, figures)
        self._began = time.perf_counter()

    def _record(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, Task)
        figures, examples = pl_module.sums.read()
        pl_module.sums.clear()
        if not examples:
            return
        now = time.perf_counter()
        if self.stop_on_nonfinite:
            require_finite_loss(figures["loss"], trainer)
        rate = examples / (now - self._began)
        self._last, self._began = trainer.global_step, now
        self.latest = {**{f"train/{k}": v for k, v in figures.items()}, "examples_per_second": rate}
        self._log(
            trainer, {**self.latest, "lr": float(trainer.optimizers[0].param_groups[0]["lr"])}
        )

    @staticmethod
    def _log(trainer: L.Trainer, figures: dict[str, float]) -> None:
        for logger in trainer.loggers:
            logger.log_metrics({"epoch": trainer.current_epoch, **figures}, trainer.global_step)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        assert isinstance(pl_module, Task)
        checkpoint["sums"] = pl_module.sums.state()

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._restored = checkpoint["sums"]
