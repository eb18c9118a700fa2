"""A progress bar that costs microseconds per step, and one line for each validation."""

import math
import sys
import time
from collections.abc import Callable
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from tqdm import tqdm

from arclight.training.record import TIMING, Record
from arclight.training.steps import last_step, steps_done

REDRAW_SECONDS = 0.2
BESIDE = 60  # columns of the bar itself, with steps, times and speed


class Progress(Callback):
    """Metrics, examples/s and remaining time in a terminal; elsewhere only the validation lines.

    The bar shows the metrics that `Record` read last, so it never waits for the device.

    Args:
        record: the source of the metrics.
        say: prints the line of each validation.
    """

    def __init__(self, record: Record, say: Callable[[str], None]) -> None:
        self.record = record
        self.say = say
        self._bar: tqdm[Any] | None = None
        self._drawn = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero and sys.stderr.isatty():
            self._bar = tqdm(
                total=_steps(trainer),
                initial=steps_done(trainer),
                unit=" steps",
                dynamic_ncols=True,
                leave=False,
            )

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if self._bar is not None and time.monotonic() - self._drawn > REDRAW_SECONDS:
            self._redraw(trainer)

    def _redraw(self, trainer: L.Trainer) -> None:
        assert self._bar is not None
        self._bar.n = steps_done(trainer)
        self._bar.set_description_str(f"epoch {trainer.current_epoch + 1}", refresh=False)
        columns = self._bar.format_dict["ncols"] or math.inf
        shown = shortened(format_metrics(self.record.latest), columns - BESIDE)
        self._bar.set_postfix_str(shown, refresh=True)
        self._drawn = time.monotonic()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking or not trainer.is_global_zero:
            return
        epochs = "" if trainer.max_epochs in (None, -1) else f"/{trainer.max_epochs}"
        where = f"epoch {trainer.current_epoch + 1}{epochs}, step {steps_done(trainer)}"
        if self._bar is not None:
            self._bar.clear()
        self.say(f"{where}: {format_metrics(self.record.latest)}")
        if self._bar is not None:
            self._redraw(trainer)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _steps(trainer: L.Trainer) -> int | None:
    """The number of steps of the whole run; None if it is not limited."""
    if last_step(trainer) > 0:
        return last_step(trainer)
    batches, epochs = trainer.num_training_batches, trainer.max_epochs
    if epochs in (None, -1) or math.isinf(batches):
        return None
    return math.ceil(batches / trainer.accumulate_grad_batches) * epochs


def format_metrics(metrics: dict[str, float]) -> str:
    """`train/loss 0.513, train/accuracy 0.91, 12,345 examples/s, 41% MFU, 3.2 GiB`.

    Text is counted in tokens if their number is known. The time spent waiting for data is shown if
    it is more than a tenth of the step.
    """
    parts = [f"{k} {v:.4g}" for k, v in metrics.items() if not k.startswith(TIMING)]
    if "cost/tokens_per_second" in metrics:
        parts.append(f"{metrics['cost/tokens_per_second']:,.0f} tokens/s")
    elif "examples_per_second" in metrics:
        parts.append(f"{metrics['examples_per_second']:,.0f} examples/s")
    if "cost/mfu" in metrics:
        parts.append(f"{metrics['cost/mfu']:.0%} MFU")
    waited, whole = metrics.get("cost/data_ms", 0.0), metrics.get("cost/step_ms", 0.0)
    if waited > 0.1 * whole:
        parts.append(f"{waited / whole:.0%} waiting for data")
    if "cost/peak_memory_gib" in metrics:
        parts.append(f"{metrics['cost/peak_memory_gib']:.1f} GiB")
    return ", ".join(parts)


def shortened(metrics: str, columns: float) -> str:
    """Returns as many of the metrics, from the first, as fit into so many columns."""
    while metrics and len(metrics) > columns:
        metrics = metrics.rpartition(", ")[0]
    return metrics
