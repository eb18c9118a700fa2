"""What executing a run does: build from the frozen config, train, test the best, write it down."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, ProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import nn

from arclight.config.allowed import is_library
from arclight.config.build import build
from arclight.console import say, table
from arclight.costs.timing import forward_seconds
from arclight.data.exact import make_exact
from arclight.data.facts import Facts
from arclight.data.module import DataModule
from arclight.errors import UserError
from arclight.libraries.lightning import count_steps_with, tell_of_evaluations
from arclight.libraries.lightning_loops import stop_when
from arclight.provenance.manifest import hardware
from arclight.report.plots import confusion_matrix, curves
from arclight.run.assembly import UNKNOWN, Parts, build_parts, build_task
from arclight.run.panels import closing, network_of, opening, parameters
from arclight.run.plain_data import PlainData
from arclight.run.weights import keep_sizes
from arclight.run_directory import RunDirectory, Status
from arclight.tasks.task import Task
from arclight.training.checkpoints import (
    BEST,
    LAST,
    Checkpoints,
    load_weights,
    newest_readable,
    read,
    step_of,
)
from arclight.training.compilation import CompileClock, compile_task
from arclight.training.epoch_metrics import KEY, EpochMetrics
from arclight.training.exactness import Exactness
from arclight.training.finite import SkipNonFinite
from arclight.training.garbage import FrozenGarbage
from arclight.training.gradients import PartGradients
from arclight.training.interrupts import Interrupts
from arclight.training.loggers import MetricsFile, close, conclude
from arclight.training.progress import Progress
from arclight.training.pruning import PrunedError, pruning
from arclight.training.randomness import StepSeeds
from arclight.training.record import Record
from arclight.training.steps import StepCounter, steps_done


def fit(run: RunDirectory) -> dict[str, Any]:
    """Trains from where the directory's checkpoints end; returns what the summary keeps."""
    began = time.perf_counter()
    parts = build_parts(run.config, run.path)
    require_same_data(run, parts.facts)
    # The chosen ones first, since a module's `self.logger` is the first.
    loggers = [*_loggers(run, parts.config), MetricsFile(run.metrics_file)]
    status: Status = "failed"
    exactness = _exactness(run, parts)
    try:
        trainer = assemble(run, parts, loggers, exactness)
        recorder(trainer).know(parts.task, parts.facts)
        if trainer.is_global_zero:
            model = getattr(parts.task, "model", None)
            if "model" in parts.config and isinstance(model, nn.Module):
                keep_sizes(model, parts.config["model"], run.path)
            run.update_manifest(hardware=hardware())
            if parts.facts is not UNKNOWN or "data" not in run.manifest:
                run.update_manifest(data=parts.facts.to_dict())
            _say_what_it_is(run, parts, trainer)
            for sentence in getattr(parts.data, "left_out", ()):
                say(f"warning: {sentence}")
        try:
            seconds = _train(run, parts, trainer)
        except PrunedError as stop:
            say(f"The search ends this trial: {stop}.")
            status = "pruned"
            return _pruned(parts, trainer)
        startup = time.perf_counter() - began - seconds
        results = _test(run, parts, trainer)
        results["startup_seconds"] = round(startup, 3)
        results["training_seconds"] = round(seconds, 3)
        if parts.config["compile"]:  # of the training; what is left was spent after the warm-up
            results["compile_seconds"] = round(_compile_clock(trainer).seconds, 3)
        results["costs"] = recorder(trainer).summary(trainer)
        if "latency_ms" in parts.config.get("trial", {}).get("objectives", ()):
            results["latency_ms"] = round(_latency_ms(parts, trainer), 4)
        if trainer.is_global_zero:
            conclude(loggers, results["metrics"], _draw(run, parts.task))
            say(table(closing(run, results), "Results"))
        status = "finished"
    except SystemExit:
        status = "interrupted"
        raise
    finally:
        exactness.close()
        close(loggers, status)
        _leave_group()
    return results


def _latency_ms(parts: Parts, trainer: L.Trainer) -> float:
    """Of one example, where and as the run has computed; by now its task is back on the CPU."""
    if not isinstance(parts.task, Task):
        raise UserError(
            f"latency_ms needs inputs of one example, which {type(parts.task).__name__} does not "
            "tell: make it a subclass of arclight.Task with a blank_batch, or leave latency_ms out."
        )
    device, precision = trainer.strategy.root_device, str(trainer.precision)
    return 1000 * forward_seconds(parts.task, parts.facts, 1, 50, device, precision)


def _leave_group() -> None:
    """Sharding makes even one process a group, which the next job of a multirun is not in."""
    if dist.is_initialized() and "TORCHELASTIC_RUN_ID" not in os.environ:
        dist.destroy_process_group()


def _test(run: RunDirectory, parts: Parts, trainer: L.Trainer) -> dict[str, Any]:
    """Tests the best checkpoint, or the last where nothing was validated."""
    trainer.strategy.barrier()  # the first process may still have been writing it
    best = run.checkpoints / BEST
    tested = best if best.exists() else run.checkpoints / LAST
    step, validated = load_weights(parts.task, tested)
    figures: dict[str, float] = {}
    if is_tested(parts):
        try:
            figures = test(trainer, parts)
        except torch.OutOfMemoryError as error:
            raise UserError(_out_of_memory(parts, trainer)) from error
    return {
        "metrics": {**rounded(validated), **figures},
        "tested_checkpoint": tested.name,
        "tested_step": step,
        **_spent(parts, trainer),
        "skipped_examples": parts.facts.skipped,
    }


def is_tested(parts: Parts) -> bool:
    """Whether there is a test: what Lightning's conventions say, and data for it."""
    if parts.facts.sizes:
        return bool(parts.facts.sizes["test"])
    return is_overridden("test_step", parts.task) and is_overridden("test_dataloader", parts.data)


def test(trainer: L.Trainer, parts: Parts) -> dict[str, float]:
    """Tests the task as it is, and returns what its test has logged."""
    logged = trainer.test(parts.task, datamodule=parts.data, verbose=False)
    return rounded({name: value for one in logged for name, value in one.items()})


def rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    """To the digits that single precision holds."""
    return {name: round(float(value), 7) for name, value in metrics.items()}


def _pruned(parts: Parts, trainer: L.Trainer) -> dict[str, Any]:
    """What the summary keeps of a run that the search has ended: the figures so far."""
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


def _exactness(run: RunDirectory, parts: Parts) -> Exactness:
    """Follows whether the run can be resumed exactly; makes the loaders of plain data exact."""

    def write(**values: Any) -> None:
        if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            run.update_summary(**values)

    def warn(sentence: str) -> None:
        say(f"warning: {sentence}")

    exactness = Exactness(write, warn, run.summary.get("inexact_because", ()))
    if not isinstance(parts.data, DataModule):
        exactness.loaders = make_exact(parts.data, parts.config["seed"], exactness.say)
    return exactness


def require_same_data(run: RunDirectory, facts: Facts) -> None:
    """Raises `UserError` where a run that has begun would go on with other data.

    What is known of data that say nothing of themselves is looked at later, by `PlainData`.
    """
    before = run.manifest.get("data")
    if facts is not UNKNOWN and before and before["fingerprint"] != facts.fingerprint:
        raise UserError(
            f"The data of {run.path}, or the code that reads them, have changed since it began "
            f"(their fingerprint was {before['fingerprint'][:12]} and is "
            f"{facts.fingerprint[:12]}): put them back to continue it, or start a new run."
        )


def assemble(
    run: RunDirectory, parts: Parts, loggers: list[Logger], exactness: Exactness | None = None
) -> L.Trainer:
    """The trainer with everything that happens around a step, in the order in which it happens."""
    exactness = exactness or _exactness(run, parts)
    config, settings = parts.config, parts.config["trainer"]
    given = {"folder": run.checkpoints, "run_id": run.manifest["run_id"], "say": say}
    nodes = config["callbacks"]
    chosen = [build(node, group="callbacks", **given) for node in nodes.values() if node]
    checkpoints = next((c for c in chosen if isinstance(c, Checkpoints)), None)
    if checkpoints is None:
        raise UserError(
            "callbacks.checkpoints cannot be null: a run is resumed and tested from it."
        )
    for callback in chosen:
        _require_own_folder(callback, run)
    manual = not parts.task.automatic_optimization
    if manual:  # which Lightning's own max_steps counts wrongly
        counter = [StepCounter(settings["max_steps"])]
        settings = {**settings, "max_steps": -1, "gradient_clip_val": None}
        if config["trainer"]["gradient_clip_val"]:
            say(
                f"trainer.gradient_clip_val does nothing here: {type(parts.task).__name__} steps "
                "its optimizers itself, and may call self.clip_gradients."
            )
    else:
        counter = []
    stop = config["on_nonfinite"] == "stop"
    record = Record(config["trainer"]["log_every_n_steps"], stop_on_nonfinite=stop)
    own_bar = any(isinstance(c, ProgressBar) for c in chosen)
    callbacks: list[Callback] = [
        *counter,
        StepSeeds(config["seed"]),
        *(c for c in chosen if c is not None),
        *([] if stop else [SkipNonFinite()]),
        record,
        EpochMetrics(exactness.because),
        PartGradients(exactness.because),
        *([PlainData(run, exactness.loaders)] if exactness.loaders else []),
        exactness,
        *([] if own_bar else [Progress(record, say)]),
        *pruning(),
        Interrupts(checkpoints),
        FrozenGarbage(),
        *([CompileClock()] if config["compile"] else []),
    ]
    trainer = build(
        settings,
        group="trainer",
        run_dir=run.path,
        callbacks=callbacks,
        loggers=loggers,
        deterministic=config["deterministic"],
    )
    assert isinstance(trainer, L.Trainer)
    for steps in counter:
        stop_when(trainer, steps.enough)
    count_steps_with(trainer, lambda: steps_done(trainer))
    tell_of_evaluations(trainer, lambda metrics: _note(run, trainer, record, metrics))
    return trainer


def _note(run: RunDirectory, trainer: L.Trainer, record: Record, metrics: dict[str, Any]) -> None:
    """Metrics belong to the stage whose loop logged them, whatever they are called."""
    if trainer.state.fn == "fit":
        record.evaluated(metrics, steps_done(trainer))
    elif trainer.is_global_zero:  # so that a test that is repeated has one row
        run.update_summary(tested=sorted(metrics))


def _require_own_folder(callback: Callback, run: RunDirectory) -> None:
    """Raises `UserError` where Lightning's ModelCheckpoint would write among the run's own."""
    folder = getattr(callback, "dirpath", None)
    if folder and Path(folder).resolve() == run.checkpoints.resolve():
        raise UserError(
            f"{type(callback).__name__} would write into {folder}, where the run keeps its own "
            "checkpoints: leave it out (callbacks.checkpoints.monitor chooses the best), or give "
            "it another dirpath."
        )


def _loggers(run: RunDirectory, config: dict[str, Any]) -> list[Logger]:
    name = config.get("trial", {}).get("name", run.path.name)  # a trial's directory is a number
    given = {"run_dir": run.path, "say": say, "run_id": run.manifest["run_id"], "name": name}
    nodes = [node for node in (config["logger"] or {}).values() if node]
    return [build(node, group="logger", **_open(node, given)) for node in nodes]


def _open(node: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What the node leaves open; a library's `run_id` would be one that its server has already."""
    library = is_library(node["_target_"])
    named = {"run_name": given["name"]} if library else {"run_id": given["run_id"]}
    known = {**{k: v for k, v in given.items() if k != "run_id"}, **named}
    return {key: value for key, value in known.items() if node.get(key) is None}


def _train(run: RunDirectory, parts: Parts, trainer: L.Trainer) -> float:
    """Trains to the end and returns the seconds it took."""
    start, complaints = newest_readable(run.checkpoints, run.manifest["run_id"])
    for complaint in complaints:
        say(f"warning: {complaint}; the one before it is used.")
    if trainer.is_global_zero:
        for logger in trainer.loggers:
            if isinstance(logger, MetricsFile):
                found = read(start, shards=False) if start else {}
                mark = found.get(KEY, {}).get("file")
                step = step_of(found) if start else -1
                logger.rewind(step, run.summary.get("tested", ()), mark)
            else:
                logger.log_hyperparams(parts.config)
    if start:
        say(f"Continuing from {start.name}.")
    if parts.config["trainer"].get("float8"):
        from arclight.training.low_precision import use_float8

        use_float8(network_of(parts.task))
    accumulated = parts.config["trainer"]["accumulate_grad_batches"] > 1
    compile_task(parts.task, parts.config["compile"], accumulated)
    interrupts = next(c for c in trainer.callbacks if isinstance(c, Interrupts))  # type: ignore[attr-defined]
    began = time.perf_counter()
    try:
        trainer.fit(parts.task, datamodule=parts.data, ckpt_path=start)
    except SIGTERMException:
        raise SystemExit(128 + interrupts.signum) from None
    except torch.OutOfMemoryError as error:
        raise UserError(_out_of_memory(parts, trainer)) from error
    except MisconfigurationException as error:
        raise UserError(f"Lightning refuses this: {' '.join(str(error).split())}") from error
    except RuntimeError as error:
        if start and "Error(s) in loading state_dict" in str(error):
            raise UserError(_another_model(start, error)) from error
        raise
    if interrupts.signum:  # it came after the last step
        raise SystemExit(128 + interrupts.signum)
    return time.perf_counter() - began


def _another_model(file: Path, error: Exception) -> str:
    return (
        f"The code makes another model than that of {file}: {str(error).splitlines()[-1].strip()} "
        "Put the code back to continue the run, or start a new one."
    )


def _out_of_memory(parts: Parts, trainer: L.Trainer) -> str:
    from arclight.costs.advice import in_parts

    batch, cut = parts.config["data"].get("batch_size"), trainer.accumulate_grad_batches
    peak = ""
    if trainer.strategy.root_device.type == "cuda":
        peak = f" ({torch.cuda.max_memory_allocated() / 2**30:.1f} GiB were in use)"
    if not parts.task.training and isinstance(parts.data, DataModule):
        batch = parts.data.evaluated_at_once(cut)
        return (
            f"The device ran out of memory in evaluation with data.eval_batch_size={batch}{peak}; "
            f"type data.eval_batch_size={max(1, batch // 2)} for half of what a batch takes."
        )
    return (
        f"The device ran out of memory with data.batch_size={batch}{peak}; type "
        f"trainer.accumulate_grad_batches={cut * 2} for half the memory ({in_parts(parts.task)}), "
        "a smaller data.batch_size, trainer.precision=bf16-mixed, or, where the model has it, "
        "model.activation_checkpointing=true."
    )


def _draw(run: RunDirectory, task: L.LightningModule) -> list[Path]:
    images = (
        [curves(run.metrics_file, run.plots / "curves.png")] if run.metrics_file.exists() else []
    )
    if isinstance(task, Task) and task.confusion_matrix is not None:
        target = run.plots / "confusion_matrix.png"
        images.append(confusion_matrix(task.confusion_matrix, task.class_names, target))
    return [image for image in images if image]


def _say_what_it_is(run: RunDirectory, parts: Parts, trainer: L.Trainer) -> None:
    """The opening table and, with `preflight`, what the run is going to cost."""
    device, world = trainer.strategy.root_device, trainer.world_size
    precision = str(trainer.precision)
    rows = opening(parts, str(run.path), device, precision, world)
    if not parts.config.get("preflight", True):
        say(table(rows, "Arclight"))
        return
    from arclight.costs.advice import advice
    from arclight.costs.forecast import forecast

    found = forecast(parts.config, parts.data, parts.task, parts.facts, device, precision, world)
    say(table([*rows, *found.rows()], "Arclight"))
    facts = parts.facts
    for sentence in advice(parts.config, facts, parts.task, found, device, precision, build_task):
        say(f"advice: {sentence}")
    recorder(trainer).flops_per_example = found.flops_per_example


def _compile_clock(trainer: L.Trainer) -> CompileClock:
    return next(c for c in trainer.callbacks if isinstance(c, CompileClock))  # type: ignore[attr-defined]


def recorder(trainer: L.Trainer) -> Record:
    """The trainer's own."""
    return next(c for c in trainer.callbacks if isinstance(c, Record))  # type: ignore[attr-defined]
