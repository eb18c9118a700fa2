"""What a config builds, before any trainer is there: the data, and the task with its model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import arclight.run.quiet  # noqa: F401
from arclight.config.build import build, find
from arclight.config.check import GIVEN_AT_RUN_TIME
from arclight.config.signature import fits, parameters
from arclight.data.facts import Facts
from arclight.data.module import DataModule
from arclight.errors import UserError
from arclight.run.preprocessing import as_weights_know_it
from arclight.run.weights import build_model
from arclight.seeds import torch_seed
from arclight.tasks.task import Task


@dataclass
class Parts:
    """What a config builds, before any trainer is there."""

    config: dict[str, Any]
    data: DataModule
    task: Task


def build_parts(config: dict[str, Any], folder: Path) -> Parts:
    """The data, read and described, and the task with its model, initialised from the seed.

    Args:
        folder: the run's directory, where some data keep what must never change, as a tokenizer.
    """
    data = build(as_weights_know_it(config, folder))
    _require_kind(config, data)
    data.folder = folder
    data.setup()
    return Parts(config, data, build_task(config, data.facts, folder))


def _require_kind(config: dict[str, Any], data: DataModule) -> None:
    """Raises `UserError` where the task is for another kind of data."""
    wanted = find(config["task"]["_target_"]).learns_from
    if wanted and data.holds and wanted != data.holds:
        name = config["task"]["_target_"].rpartition(".")[2]
        raise UserError(
            f"The task {name} learns from {wanted}, and the data are {data.holds}: choose another "
            "data=, or a model= that brings its own task."
        )


def build_task(config: dict[str, Any], facts: Facts, folder: Path | None = None) -> Task:
    """The task and its model; what the model's config leaves null comes from the data's facts.

    Args:
        folder: the run's directory: once it has a checkpoint, `model.pretrained` is not needed.
    """
    begun = folder if folder and any((folder / "checkpoints").glob("*.ckpt")) else None
    known = facts.for_model()
    found = {k: known[k] for k, v in config["model"].items() if v is None and k in known}
    _require_sizes(config["model"], found)
    torch.manual_seed(torch_seed("weights", config["seed"]))
    model = build_model(config["model"], begun, **found)
    finetune = config.get("finetune")
    if finetune and "_target_" in finetune:
        model = build(finetune, model=model)
    task = build(
        config["task"],
        model=model,
        facts=facts,
        optimizer=lambda module, fused: build(config["optimizer"], model=module, fused=fused),
        schedule=lambda optimizer, total_steps, steps_per_epoch: build(
            config["scheduler"],
            optimizer=optimizer,
            total_steps=total_steps,
            steps_per_epoch=steps_per_epoch,
        ),
    )
    assert isinstance(task, Task)
    return task


def _require_sizes(model: dict[str, Any], found: dict[str, Any]) -> None:
    """Raises `UserError` where the data do not tell a size that the model's config leaves open."""
    takes = parameters(model["_target_"])
    missing = [
        key
        for key in GIVEN_AT_RUN_TIME["model"]
        if key in model and model[key] is None and key not in found
        if not fits(None, takes[key].annotation)
    ]
    if missing:
        raise UserError(
            f"The model needs {' and '.join(sorted(missing))}, which these data do not tell: "
            "choose data of its kind (images, texts, or both), or another model."
        )
