"""Executes a run: builds from the frozen config, trains, tests the best checkpoint, records it."""

import os
import time
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import nn

from arclight.console import say, table
from arclight.data.facts import Facts
from arclight.errors import UserError
from arclight.provenance.manifest import hardware
from arclight.report.run_pictures import draw
from arclight.run.assembly import UNKNOWN, Parts, build_parts, build_task
from arclight.run.failures import (
    another_model,
    long_interval,
    other_sizes,
    out_of_memory,
    unknown_metric,
)
from arclight.run.panels import closing, network_of, opening
from arclight.run.results import is_tested, latency_ms, pruned_results, test_best
from arclight.run.trainer import (
    assemble,
    build_loggers,
    compile_clock,
    follow_exactness,
    recorder,
)
from arclight.run.weights import keep_sizes
from arclight.run_directory import RunDirectory, Status
from arclight.training.checkpoint_files import newest_readable, read, step_of
from arclight.training.compilation import compile_task
from arclight.training.epoch_metrics import KEY
from arclight.training.interrupts import Interrupts
from arclight.training.loggers import MetricsFile, close, log_results
from arclight.training.pruning import PrunedError


def fit(run: RunDirectory) -> dict[str, Any]:
    """Trains from the newest checkpoint, if any, and tests; returns the entries of the summary."""
    began = time.perf_counter()
    parts = build_parts(run.config, run.path)
    require_same_data(run, parts.facts)
    # The configured loggers come first, because a module's `self.logger` is the first one.
    loggers = [*build_loggers(run, parts.config), MetricsFile(run.metrics_file)]
    status: Status = "failed"
    exactness = follow_exactness(run, parts)
    try:
        trainer = assemble(run, parts, loggers, exactness)
        recorder(trainer).set_facts(parts.task, parts.facts)
        if trainer.is_global_zero:
            model = getattr(parts.task, "model", None)
            if "model" in parts.config and isinstance(model, nn.Module):
                keep_sizes(model, parts.config["model"], run.path)
            run.update_manifest(hardware=hardware())
            if parts.chosen:
                run.update_manifest(chosen=parts.chosen)
            if parts.facts is not UNKNOWN or "data" not in run.manifest:
                run.update_manifest(data=parts.facts.to_dict())
            _describe(run, parts, trainer)
            for sentence in getattr(parts.data, "left_out", ()):
                say(f"warning: {sentence}")
        try:
            seconds = _train(run, parts, trainer)
        except PrunedError as stop:
            say(f"The search stops this trial: {stop}.")
            status = "pruned"
            return pruned_results(parts, trainer)
        startup = time.perf_counter() - began - seconds
        results = test_best(run, parts, trainer)
        results["startup_seconds"] = round(startup, 3)
        results["training_seconds"] = round(seconds, 3)
        if parts.config["compile"]:  # part of training_seconds
            results["compile_seconds"] = round(compile_clock(trainer).seconds, 3)
        results["costs"] = recorder(trainer).summary(trainer)
        if "latency_ms" in parts.config.get("trial", {}).get("objectives", ()):
            results["latency_ms"] = round(latency_ms(parts, trainer), 4)
        if trainer.is_global_zero:
            pictures = draw(run, parts.task, parts.data, is_tested(parts))
            log_results(loggers, results["metrics"], pictures, results["steps"])
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


def _leave_group() -> None:
    """Destroys the process group: sharding creates one even for a single process."""
    if dist.is_initialized() and "TORCHELASTIC_RUN_ID" not in os.environ:
        dist.destroy_process_group()


def require_same_data(run: RunDirectory, facts: Facts) -> None:
    """Raises `UserError` if a run would continue with other data.

    Data modules without facts are checked later, by `PlainData`.
    """
    before = run.manifest.get("data")
    if facts is not UNKNOWN and before and before["fingerprint"] != facts.fingerprint:
        raise UserError(
            f"The data of {run.path}, or the code that reads them, have changed since its start "
            f"(their fingerprint was {before['fingerprint'][:12]} and is now "
            f"{facts.fingerprint[:12]}): restore them to continue the run, or start a new one."
        )


def _train(run: RunDirectory, parts: Parts, trainer: L.Trainer) -> float:
    """Trains to the end and returns the seconds it took."""
    start, complaints = newest_readable(run.checkpoints, run.manifest["run_id"])
    for complaint in complaints:
        say(f"warning: {complaint}; the previous checkpoint is used.")
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
        raise UserError(out_of_memory(parts, trainer)) from error
    except MisconfigurationException as error:
        said = unknown_metric(parts, trainer, error)
        said = said or f"Lightning rejects this: {' '.join(str(error).split())}"
        raise UserError(said) from error
    except (ValueError, IndexError, RuntimeError) as error:
        if start and "Error(s) in loading state_dict" in str(error):
            raise UserError(another_model(start, error)) from error
        if "`val_check_interval`" in str(error):  # it can be checked only once the data are read
            raise UserError(long_interval(parts, error)) from error
        if sentence := unknown_metric(parts, trainer, error) or other_sizes(parts, error):
            raise UserError(sentence) from error
        raise
    if interrupts.signum:  # the signal came after the last step
        raise SystemExit(128 + interrupts.signum)
    return time.perf_counter() - began


def _describe(run: RunDirectory, parts: Parts, trainer: L.Trainer) -> None:
    """Prints the opening table and, with `preflight`, the estimated costs."""
    device, world = trainer.strategy.root_device, trainer.world_size
    precision = str(trainer.precision)
    rows = opening(parts, str(run.path), device, precision, world)
    for note in getattr(parts.data, "notes", ()):
        say(note)
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
