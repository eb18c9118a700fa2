"""The trainer of a run with all its callbacks, and the loggers."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, ProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from arclight.config.build import build
from arclight.config.checks.allowed import is_library
from arclight.config.extensions import extensions
from arclight.console import say
from arclight.data.exact import make_exact
from arclight.data.module import DataModule
from arclight.errors import UserError
from arclight.libraries.lightning import QuickHooks, call_after_evaluations, count_steps_with
from arclight.libraries.lightning_loops import stop_when
from arclight.processes.devices import process_count
from arclight.run.assembly import Parts
from arclight.run.limits import Overfitting, at_least_one, at_least_one_of
from arclight.run.plain_data import PlainData
from arclight.run_directory import RunDirectory
from arclight.training.checkpoints import Checkpoints
from arclight.training.compilation import CompileClock
from arclight.training.epoch_metrics import EpochMetrics
from arclight.training.exactness import Exactness
from arclight.training.extension import ExtendedSchedules
from arclight.training.finite import SkipNonFinite
from arclight.training.garbage import FrozenGarbage
from arclight.training.gradients import PartGradients
from arclight.training.interrupts import Interrupts
from arclight.training.progress import Progress
from arclight.training.pruning import pruning
from arclight.training.randomness import StepSeeds
from arclight.training.record import Record
from arclight.training.steps import StepCounter, steps_done
from arclight.training.trainer import DDP_UNUSED_PARAMETERS


def assemble(
    run: RunDirectory, parts: Parts, loggers: list[Logger], exactness: Exactness | None = None
) -> L.Trainer:
    """Creates the trainer with all callbacks, in the order in which they run."""
    exactness = exactness or follow_exactness(run, parts)
    config, settings = parts.config, parts.config["trainer"]
    given = {"folder": run.checkpoints, "run_id": run.manifest["run_id"], "say": say}
    nodes = config["callbacks"]
    chosen = [build(node, group="callbacks", **given) for node in nodes.values() if node]
    checkpoints = next((c for c in chosen if isinstance(c, Checkpoints)), None)
    if checkpoints is None:
        raise UserError(
            "callbacks.checkpoints cannot be null: a run needs checkpoints to resume and to test."
        )
    for callback in chosen:
        _require_own_folder(callback, run)
    manual = not parts.task.automatic_optimization
    if manual:  # Lightning's max_steps counts the steps of each optimizer
        counter = [StepCounter(settings["max_steps"])]
        settings = {**settings, "max_steps": -1, "gradient_clip_val": None}
        if settings["strategy"] in ("ddp", "auto"):  # one backward pass may use only some networks
            several = process_count(settings) * settings["num_nodes"] > 1
            settings["strategy"] = DDP_UNUSED_PARAMETERS if several else "auto"
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
    extended = extensions(config)[-1:]
    callbacks: list[Callback] = [
        *counter,
        *(ExtendedSchedules(one.extend, one.step) for one in extended),
        StepSeeds(config["seed"]),
        *(c for c in chosen if c is not None),
        *([Overfitting()] if settings.get("overfit_batches") else []),
        *([] if stop else [SkipNonFinite()]),
        record,
        EpochMetrics(exactness.add_reason),
        PartGradients(exactness.add_reason),
        *([PlainData(run, exactness.loaders)] if exactness.loaders else []),
        exactness,
        *([] if own_bar else [Progress(record, say)]),
        *pruning(),
        Interrupts(checkpoints),
        FrozenGarbage(),
        QuickHooks(),
        *([CompileClock()] if config["compile"] else []),
    ]
    trainer = build(
        at_least_one(settings, parts.data),
        group="trainer",
        run_dir=run.path,
        callbacks=callbacks,
        loggers=loggers,
        deterministic=config["deterministic"],
    )
    assert isinstance(trainer, L.Trainer)
    if exactness.loaders:
        exactness.loaders.made = partial(at_least_one_of, trainer)
    for steps in counter:
        stop_when(trainer, steps.enough)
    count_steps_with(trainer, lambda: steps_done(trainer))
    call_after_evaluations(trainer, lambda metrics: _note(run, trainer, record, metrics))
    return trainer


def follow_exactness(run: RunDirectory, parts: Parts) -> Exactness:
    """Tracks whether the run can be resumed exactly; makes the loaders of plain data exact."""

    def write(**values: Any) -> None:
        if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            run.update_summary(**values)

    def warn(sentence: str) -> None:
        say(f"warning: {sentence}")

    exactness = Exactness(write, warn, run.summary.get("inexact_because", ()))
    if not isinstance(parts.data, DataModule):
        exactness.loaders = make_exact(parts.data, parts.config["seed"], exactness.say)
    return exactness


def _note(run: RunDirectory, trainer: L.Trainer, record: Record, metrics: dict[str, Any]) -> None:
    """Records the metrics of an evaluation for the stage that logged them."""
    if trainer.state.fn == "fit":
        record.evaluated(metrics)
    elif trainer.is_global_zero:  # so a repeated test replaces its row
        run.update_summary(tested=sorted(metrics))


def _require_own_folder(callback: Callback, run: RunDirectory) -> None:
    """Raises `UserError` if a ModelCheckpoint would write to the run's checkpoints."""
    folder = getattr(callback, "dirpath", None)
    if folder and Path(folder).resolve() == run.checkpoints.resolve():
        raise UserError(
            f"{type(callback).__name__} would write to {folder}, the folder of the run's own "
            "checkpoints: remove it (callbacks.checkpoints.monitor selects the best), or give it "
            "another dirpath."
        )


def build_loggers(run: RunDirectory, config: dict[str, Any]) -> list[Logger]:
    """The loggers of the config."""
    name = config.get("trial", {}).get("name", run.path.name)  # a trial's directory is a number
    given = {"run_dir": run.path, "say": say, "run_id": run.manifest["run_id"], "name": name}
    nodes = [node for node in (config["logger"] or {}).values() if node]
    return [build(node, group="logger", **_open(node, given)) for node in nodes]


def _open(node: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that the node does not set.

    A library's logger gets no `run_id`: for it, this would be the id of a run on its server.
    """
    library = is_library(node["_target_"])
    named = {"run_name": given["name"]} if library else {"run_id": given["run_id"]}
    known = {**{k: v for k, v in given.items() if k != "run_id"}, **named}
    return {key: value for key, value in known.items() if node.get(key) is None}


def recorder(trainer: L.Trainer) -> Record:
    """The trainer's `Record` callback."""
    return next(c for c in trainer.callbacks if isinstance(c, Record))  # type: ignore[attr-defined]


def compile_clock(trainer: L.Trainer) -> CompileClock:
    return next(c for c in trainer.callbacks if isinstance(c, CompileClock))  # type: ignore[attr-defined]
