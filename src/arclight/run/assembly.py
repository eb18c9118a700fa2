"""Builds the data, and the task with its model, from a config."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import nn

import arclight.libraries.quiet  # noqa: F401
from arclight.config.build import build, find
from arclight.config.checks.allowed import is_library
from arclight.config.extensions import schedule_origin
from arclight.config.only_reading import (
    OnlyReadingError,
    guarded,
    is_wanted,
    only_reading,
    wants_more,
)
from arclight.config.signatures.annotations import fits
from arclight.config.signatures.signature import parameters, signature, takes
from arclight.data.exact.randomness import isolated, seed_all
from arclight.data.facts import Facts, PlainFacts, read_facts
from arclight.data.module import DataModule
from arclight.errors import UserError
from arclight.masking import from_environment
from arclight.run.chosen import (
    chosen_by_data,
    chosen_by_model,
    filled,
    recorded,
    require_length,
)
from arclight.run.weights import build_model
from arclight.run_directory import RunDirectory, chosen_checkpoint
from arclight.seeds import torch_seed
from arclight.tasks.task import Task
from arclight.training.checkpoint_files import load_weights
from arclight.training.configured import ConfiguredOptimizer, ConfiguredSchedule

UNKNOWN = Facts(sizes={}, fingerprint="")
"""The facts of a data module that defines none."""


@dataclass
class Parts:
    """The parts of a run that are built before the trainer.

    Attributes:
        config: the config, with `auto` replaced by values chosen for the data.
        chosen: values chosen for keys that the config leaves open.
    """

    config: dict[str, Any]
    data: L.LightningDataModule
    task: L.LightningModule
    chosen: dict[str, Any] = field(default_factory=dict)

    @property
    def facts(self) -> Facts:
        return facts_of(self.data)


def build_parts(config: dict[str, Any], folder: Path) -> Parts:
    """Builds the data and the task with its model, initialised from the seed.

    Args:
        config: of the run.
        folder: the run directory; some data store fixed files there, such as a tokenizer.
    """
    chosen = recorded(RunDirectory(folder))
    config = filled(config, chosen)
    data = build_data(config, folder)
    _require_kind(config, data)
    chosen |= chosen_by_data(config, data)
    config = filled(config, chosen)
    require_length(config)
    facts = facts_of(data)
    task = build_task(config, facts, folder)
    model = getattr(task, "model", None)
    if "model" in config and isinstance(model, nn.Module):
        told = facts.for_model()
        by_model = chosen_by_model(
            {k: v for k, v in config["model"].items() if k not in told}, model
        )
        chosen |= by_model
    return Parts(config, data, task, chosen)


def build_data(config: dict[str, Any], folder: Path) -> L.LightningDataModule:
    """Builds the data module. A `DataModule` is set up here, any other by the trainer."""
    with _same_numbers(config["seed"]):
        data = build(config["data"], group="data")
    if not isinstance(data, L.LightningDataModule):
        raise UserError(
            f"data._target_={config['data']['_target_']} creates a {type(data).__name__}: choose a "
            "LightningDataModule."
        )
    if isinstance(data, DataModule):
        weights = from_environment(config.get("model", {}).get("pretrained"))
        if isinstance(weights, str) and weights:  # libraries have flags of that name
            manifest = RunDirectory(folder).manifest_file
            before = RunDirectory(folder).manifest.get("data") if manifest.is_file() else None
            data.follow_weights(weights, before)
        data.folder = folder
        data.setup("fit")
    else:
        only_reads = is_wanted("data") and is_library(config["data"]["_target_"])
        _seed_hooks(data, config["seed"], guarded if only_reads else nullcontext)
    return data


def _seed_hooks(
    data: L.LightningDataModule, seed: int, guard: Callable[[], AbstractContextManager[None]]
) -> None:
    """Seeds all generators in `prepare_data` and `setup`, and restores them afterwards.

    So a random split without its own generator is the same in training, in the test, and when the
    run is resumed.

    Args:
        guard: a context for each call.
    """
    for name in ("prepare_data", "setup"):
        plain = getattr(data, name)

        def hook(*args: Any, plain: Callable[..., Any] = plain, **kwargs: Any) -> Any:
            with _same_numbers(seed), guard():
                try:
                    return plain(*args, **kwargs)
                except OnlyReadingError as error:
                    raise UserError(wants_more(type(data).__name__, error)) from error

        # With `wraps` Lightning still recognises whether the user has defined the hook.
        setattr(data, name, wraps(plain)(hook))


@contextmanager
def _same_numbers(seed: int) -> Iterator[None]:
    """Seeds all generators for the data, and restores them at the end."""
    with isolated():
        seed_all(torch_seed("data", seed))
        yield


def facts_of(data: L.LightningDataModule) -> Facts:
    """The facts of a data module, or `UNKNOWN`."""
    facts = getattr(data, "facts", None)
    return facts if isinstance(facts, Facts) else UNKNOWN


def _require_kind(config: dict[str, Any], data: L.LightningDataModule) -> None:
    """Raises `UserError` if the task is for another kind of data."""
    task = find(config["task"]["_target_"])
    wanted, held = getattr(task, "learns_from", None), getattr(data, "holds", None)
    if wanted and held and wanted != held:
        name = config["task"]["_target_"].rpartition(".")[2]
        raise UserError(
            f"The task {name} learns from {wanted}, and the data are {held}: choose another "
            "data=, or a model= that brings its own task."
        )


def build_task(
    config: dict[str, Any], facts: Facts, folder: Path | None = None
) -> L.LightningModule:
    """Builds the task and its model. Null values of the model's config come from the data's facts.

    Args:
        config: of the run.
        facts: of the data.
        folder: the run directory: once it has a checkpoint, `model.pretrained` is not loaded.
    """
    torch.manual_seed(torch_seed("weights", config["seed"]))
    given: dict[str, Any] = {}
    if "model" in config:
        given["model"] = _model(config, facts, folder)
    if "optimizer" in config:
        given["optimizer"] = ConfiguredOptimizer(config["optimizer"])
    if "scheduler" in config:
        given["schedule"] = given["scheduler"] = ConfiguredSchedule(
            config["scheduler"], schedule_origin(config)
        )
    given["facts"] = None if facts is UNKNOWN else facts
    if facts is UNKNOWN:
        _require_no_facts(config["task"])
    task = build(config["task"], group="task", **given)
    if not isinstance(task, L.LightningModule):
        raise UserError(
            f"task._target_={config['task']['_target_']} creates a {type(task).__name__}: choose a "
            "LightningModule."
        )
    if isinstance(task, Task):
        task.facts = None if facts is UNKNOWN else facts
    return task


def _model(config: dict[str, Any], facts: Facts, folder: Path | None) -> torch.nn.Module:
    begun = folder if folder and any((folder / "checkpoints").glob("*.ckpt")) else None
    node, known = config["model"], facts.for_model()
    open_sizes = [k for k in parameters(node["_target_"]) if node.get(k) is None]
    found = {k: known[k] for k in open_sizes if k in known}
    _require_sizes(node, found)
    model = build_model(node, begun, load_run=load_task, **found)
    finetune = config.get("finetune")
    if finetune and "_target_" in finetune:
        model = build(finetune, group="finetune", model=model)
    return model


def _require_sizes(model: dict[str, Any], found: dict[str, Any]) -> None:
    """Raises `UserError` if neither the model's config nor the data define a required size."""
    known = signature(model["_target_"])
    by_position = known.positional[: len(model.get("_args_") or ())]
    missing = [
        name
        for name, parameter in known.parameters.items()
        if name not in (*found, *by_position) and not fits(None, parameter.annotation)
        if (model[name] is None if name in model else parameter.required)
    ]
    if missing:
        words = " ".join(f"+model.{name}=VALUE" for name in missing if name not in model)
        words = " ".join([words, *(f"model.{n}=VALUE" for n in missing if n in model)]).strip()
        raise UserError(
            f"The model needs {' and '.join(sorted(missing))}, which these data do not define: "
            f"choose data of its kind (images, texts, or both), another model, or type {words}."
        )


def _require_no_facts(task: dict[str, Any]) -> None:
    """Raises `UserError` if a task needs facts and the data define none."""
    target = task["_target_"]
    if takes(target, "facts") and not fits(None, parameters(target)["facts"].annotation):
        raise UserError(
            f"{target.rpartition('.')[2]} needs facts of its data, but the data module has none: "
            "set `facts`, of a subclass of arclight.Facts, in its setup()."
        )


def load_task(run: RunDirectory, checkpoint: str | None = None) -> L.LightningModule:
    """Loads a run's task with the tested or another checkpoint, in evaluation mode on the CPU.

    Raises:
        UserError: there is no checkpoint, or it cannot be read.
    """
    file = chosen_checkpoint(run, checkpoint)
    if "data" not in run.manifest:
        raise UserError(f"{run.path} has not read its data yet; train it first.")
    with only_reading():
        task = build_task(run.config, recorded_facts(run), run.path)
    load_weights(task, file, None if checkpoint else run.manifest.get("run_id"))
    task.eval().requires_grad_(False)
    return task


def recorded_facts(run: RunDirectory) -> Facts:
    """The facts of a run's data, from its manifest."""
    try:
        facts = read_facts(run.manifest["data"])
    except UserError as error:
        raise UserError(f"{run.manifest_file}: {error}") from error
    known = bool(facts.sizes or facts.fingerprint) and not isinstance(facts, PlainFacts)
    return facts if known else UNKNOWN
