"""The results of a trained run: the test of its best checkpoint, and its latency."""

from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.model_helpers import is_overridden

from arclight.console import say
from arclight.costs.timing import forward_seconds
from arclight.data.exact import make_exact
from arclight.data.module import DataModule
from arclight.errors import UserError
from arclight.run.assembly import Parts
from arclight.run.failures import out_of_memory, unvalidated_metric
from arclight.run.panels import parameters
from arclight.run.predictions import kept_predictions
from arclight.run.trainer import recorder
from arclight.run_directory import RunDirectory
from arclight.tasks.task import Task
from arclight.training.checkpoint_files import BEST, LAST, load_weights
from arclight.training.checkpoints import Checkpoints
from arclight.training.steps import steps_done


def test_best(run: RunDirectory, parts: Parts, trainer: L.Trainer) -> dict[str, Any]:
    """Tests the best checkpoint, or the last one if nothing was validated."""
    trainer.strategy.barrier()  # the first process may still be writing it
    best = run.checkpoints / BEST
    tested = best if best.exists() else run.checkpoints / LAST
    if tested != best and any(c.best for c in _checkpoints(trainer)):
        say(f"warning: {best} is missing: {tested.name} is tested.")
    step, validated = load_weights(parts.task, tested, run.manifest["run_id"])
    metrics: dict[str, float] = {}
    if is_tested(parts):
        try:
            with kept_predictions(run, parts.task, trainer):
                metrics = test(trainer, parts)
        except torch.OutOfMemoryError as error:
            raise UserError(out_of_memory(parts, trainer)) from error
    if sentence := unvalidated_metric(parts, recorder(trainer).validated, metrics):
        raise UserError(sentence)
    return {
        "metrics": {**rounded(validated), **metrics},
        "tested_checkpoint": tested.name,
        "tested_step": step,
        **_spent(parts, trainer),
        "skipped_examples": parts.facts.skipped,
    }


def _checkpoints(trainer: L.Trainer) -> list[Checkpoints]:
    found: Any = trainer
    return [one for one in found.callbacks if isinstance(one, Checkpoints)]


def is_tested(parts: Parts) -> bool:
    """Whether there is a test: test data, or Lightning's test hooks."""
    if parts.facts.sizes:
        return bool(parts.facts.sizes["test"])
    return is_overridden("test_step", parts.task) and is_overridden("test_dataloader", parts.data)


def test(trainer: L.Trainer, parts: Parts) -> dict[str, float]:
    """Tests the task with its current weights, and returns the logged metrics.

    A random sample of the test set is the same in every test.
    """
    if not isinstance(parts.data, DataModule):
        make_exact(parts.data, parts.config["seed"], say)
    logged = trainer.test(parts.task, datamodule=parts.data, verbose=False)
    return rounded({name: value for one in logged for name, value in one.items()})


def rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    """Rounds to the digits of single precision."""
    return {name: round(float(value), 7) for name, value in metrics.items()}


def pruned_results(parts: Parts, trainer: L.Trainer) -> dict[str, Any]:
    """The entries of the summary for a pruned run: its metrics so far."""
    return {
        "status": "pruned",
        "metrics": rounded(recorder(trainer).validated),
        **_spent(parts, trainer),
    }


def _spent(parts: Parts, trainer: L.Trainer) -> dict[str, Any]:
    steps = steps_done(trainer)
    each = getattr(parts.task, "steps_per_epoch", None)
    return {
        "epochs": round(steps / each, 2) if each else trainer.current_epoch,
        "steps": steps,
        "parameters": parameters(parts.task),
    }


def latency_ms(parts: Parts, trainer: L.Trainer) -> float:
    """Latency of one example in milliseconds, on the device and in the precision of the run.

    Raises:
        UserError: the task is not a `Task`.
    """
    if not isinstance(parts.task, Task):
        raise UserError(
            f"latency_ms needs example inputs, which {type(parts.task).__name__} does not define: "
            "make it a subclass of arclight.Task with a blank_batch, or leave latency_ms out."
        )
    device, precision = trainer.strategy.root_device, str(trainer.precision)
    return 1000 * forward_seconds(parts.task, parts.facts, 1, 50, device, precision)
