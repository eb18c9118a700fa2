"""Logs metrics and costs of training to every logger; only logging steps have an overhead."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from arclight.costs.peaks import device_peak
from arclight.costs.timing import PHASES, Phase, StepClock, forget_peak_memory, peak_memory
from arclight.data.facts import Facts
from arclight.libraries.pytorch import graphs_so_far
from arclight.tasks.task import Task
from arclight.training.finite import require_finite_loss
from arclight.training.steps import steps_done

TIMING = ("examples_per_second", "cost/")  # prefixes of metrics that differ between equal runs


@dataclass
class _Totals:
    """Totals over some steps."""

    examples: int = 0
    steps: int = 0
    seconds: dict[Phase, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))


class Record(Callback):
    """Logs the means of the last steps every `log_every_n_steps`.

    Other steps only read the clock. A logging step reads the task's sums: only then does the host
    wait for the device. The loss is checked to be finite. A module that is not a `Task` logs its
    own metrics; only the loss returned by its `training_step` is checked.

    Args:
        every_n_steps: optimizer steps between two rows.
        stop_on_nonfinite: raise `NonFiniteError` for a loss that is not finite.

    Attributes:
        flops_per_example: FLOPs of forward and backward for the longest example; None: unknown.
        padded: texts are padded to the longest one of a batch, so a step needs fewer FLOPs than
            that, and the MFU is unknown.
        tokens_per_example: None: examples have no fixed number of tokens.
    """

    def __init__(self, every_n_steps: int, stop_on_nonfinite: bool) -> None:
        self.every_n_steps = every_n_steps
        self.stop_on_nonfinite = stop_on_nonfinite
        self.flops_per_example: float | None = None
        self.tokens_per_example: int | None = None
        self.padded = False
        self.latest: dict[str, float] = {}  # metrics for the progress bar
        self.validated: dict[str, float] = {}  # metrics of the last validation
        self.clock = StepClock()
        self._peak_flops: float | None = None
        self._restored: list[list[float]] | None = None
        self._last = -1
        self._recorded: int | None = None  # step of the last row, from a checkpoint
        self._optimized = self._sampled = False
        self._within_step = False  # more batches are accumulated before the step
        self._graphs = graphs_so_far()
        self._examples = 0  # examples so far, if the module is not a task
        self._outputs: Any = None
        self._totals: dict[bool, _Totals] = {}  # for steps with (True) and without a compilation

    def set_facts(self, task: L.LightningModule, facts: Facts) -> None:
        """Sets the length of this task's examples in this data."""
        if isinstance(task, Task):
            self.tokens_per_example = task.tokens_per_example(facts)
            self.padded = task.padded

    def evaluated(self, metrics: dict[str, Any]) -> None:
        """Takes the metrics of a validation during training, before they are logged."""
        self.validated = {name: float(value) for name, value in metrics.items()}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if isinstance(pl_module, Task):
            pl_module.sums.restore(self._restored, trainer.global_rank, pl_module.device)
        self._last = steps_done(trainer) if self._recorded is None else self._recorded
        self._examples = 0
        peak = device_peak(pl_module.device, str(trainer.precision))
        self._peak_flops = peak * trainer.world_size if peak else None
        self.clock = StepClock(pl_module.device)
        self._within_step = False
        forget_peak_memory(pl_module.device)  # it may be that of an earlier run of a multirun

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        self.clock.mark("data")
        self._optimized = False
        self._sampled = (steps_done(trainer) + 1) % self.every_n_steps == 0
        self.clock.mark_device(self._sampled and not self._within_step)
        self._within_step = True

    def on_before_optimizer_step(self, *_: Any) -> None:
        self.clock.mark("forward_backward")
        self.clock.mark_device(self._sampled)
        self._optimized, self._within_step = True, False

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self.clock.mark("optimizer" if self._optimized else "forward_backward")
        self.clock.steps += self._optimized
        if not isinstance(pl_module, Task):
            self._examples += length_of(batch)
            self._outputs = outputs
        step = steps_done(trainer)
        if step % self.every_n_steps == 0 and step != self._last:
            self.clock.mark_device(self._sampled)
            self._record(trainer, pl_module)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        if trainer.state.fn == "fit" and steps_done(trainer) != self._last:
            self._record(trainer, pl_module)  # so each validation has training metrics to compare

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn != "fit":
            return
        self.latest |= self.validated
        self.clock.start()

    def _record(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        metrics, examples = self._read(trainer, pl_module)
        self.clock.mark("forward_backward")  # the device had to finish its work first
        if not examples:
            return
        self._last = steps_done(trainer)
        costs = self._costs(examples, self.clock.seconds)
        costs |= {f"cost/{k}": v for k, v in self.clock.read().items()}
        costs["cost/peak_memory_gib"] = peak_memory(pl_module.device)
        before, self._graphs = self._graphs, graphs_so_far()
        totals = self._totals.setdefault(self._graphs > before, _Totals())
        totals.examples += examples
        totals.steps += self.clock.steps
        for phase in PHASES:
            totals.seconds[phase] += self.clock.seconds[phase]
        self.clock.clear()
        measured = {f"train/{k}": v for k, v in metrics.items()}
        self._log(trainer, {**measured, **costs, **_learning_rates(trainer)})
        self.latest = {**_prog_bar_metrics(trainer), **measured, **costs}
        self.clock.mark("logging")

    def _read(
        self, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> tuple[dict[str, float], int]:
        """The means since the last logging step, and the number of examples."""
        if isinstance(pl_module, Task):
            metrics, examples = pl_module.sums.read()
            pl_module.sums.clear()
            if examples and self.stop_on_nonfinite and "loss" in metrics:
                require_finite_loss(metrics["loss"], trainer)
            return metrics, examples
        examples, self._examples = self._examples * trainer.world_size, 0
        loss = self._outputs.get("loss") if isinstance(self._outputs, dict) else None
        if self.stop_on_nonfinite and isinstance(loss, Tensor):
            require_finite_loss(float(loss), trainer)
        return {}, examples

    def _costs(self, examples: int, seconds: dict[Any, float]) -> dict[str, float]:
        """Rates of this many examples in these seconds."""
        rate = examples / sum(seconds.values())
        costs = {"examples_per_second": rate}
        if self.tokens_per_example:
            costs["cost/tokens_per_second"] = rate * self.tokens_per_example
        if self.flops_per_example and self._peak_flops and not self.padded:
            costs["cost/mfu"] = rate * self.flops_per_example / self._peak_flops
        return costs

    def summary(self, trainer: L.Trainer) -> dict[str, float]:
        """Rates, and milliseconds per step in each phase, over all steps of this process.

        Rows during which something was compiled are left out, unless there are no others.
        """
        totals = self._totals.get(False) or self._totals.get(True)
        if totals is None or not totals.steps:
            return {}
        costs = self._costs(totals.examples, totals.seconds)
        summary = {name.removeprefix("cost/"): value for name, value in costs.items()}
        for phase, seconds in totals.seconds.items():
            summary[f"{phase}_ms"] = 1000 * seconds / totals.steps
        summary["peak_memory_gib"] = peak_memory(trainer.strategy.root_device)
        if self.flops_per_example:
            summary["flops_per_example"] = self.flops_per_example
        return {name: float(f"{value:.6g}") for name, value in summary.items()}

    @staticmethod
    def _log(trainer: L.Trainer, metrics: dict[str, float]) -> None:
        for logger in trainer.loggers:
            logger.log_metrics({"epoch": trainer.current_epoch, **metrics}, steps_done(trainer))

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if isinstance(pl_module, Task):
            checkpoint["sums"] = pl_module.sums.state()
        checkpoint["recorded"] = self._last
        checkpoint["validated"] = self.validated

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._restored, self._recorded = checkpoint.get("sums"), checkpoint.get("recorded")
        self.validated = checkpoint["validated"]


def _learning_rates(trainer: L.Trainer) -> dict[str, float]:
    """The learning rate of each optimizer."""
    groups = [optimizer.param_groups for optimizer in trainer.optimizers]
    rates = [float(g[0]["lr"]) for g in groups if g]  # an optimizer may have no groups
    return {"lr" if i == 0 else f"lr-{i}": rate for i, rate in enumerate(rates)}


def _prog_bar_metrics(trainer: L.Trainer) -> dict[str, float]:
    """The metrics that the module logs with `prog_bar=True`."""
    return {name: float(value) for name, value in trainer.progress_bar_metrics.items()}


def length_of(batch: Any) -> int:
    """The number of examples in a batch: the length of its first tensor; 0 if it has none."""
    while not isinstance(batch, Tensor):
        if isinstance(batch, Mapping) and batch:
            batch = next(iter(batch.values()))
        elif isinstance(batch, Sequence) and batch and not isinstance(batch, str):
            batch = batch[0]
        else:
            return 0
    return len(batch) if batch.ndim else 0
