"""Settings that are valid alone, but not together."""

import re
from collections.abc import Iterator
from typing import Any, TypeGuard

from arclight.config.checks.fault import Fault
from arclight.config.signatures.lineage import lineage
from arclight.config.signatures.source import resolve
from arclight.config.typed import shown
from arclight.metric_names import better_direction

Config = dict[str, Any]

WHOLE_STEPS = "arclight.data.module.DataModule"
"""Data modules in which `batch_size` counts the samples of a step over all processes."""


_PLACE = re.compile(r"(^|_)(path|root|folder|dir|file)$")


def faults_of_combinations(config: Config) -> Iterator[Fault]:
    """Yields one fault for each combination that cannot train."""
    trainer, data = config.get("trainer"), config.get("data")
    if isinstance(trainer, dict):
        yield from _of_the_end(trainer)
        yield from faults_of_processor(trainer)
        yield from _of_shards(trainer, config)
    if isinstance(data, dict):
        yield from _of_empty_places(data)
        if isinstance(trainer, dict):
            yield from _of_shares(trainer, data)


def faults_of_the_monitor(config: Config) -> Iterator[Fault]:
    """A metric whose worst value would select the best checkpoint."""
    callbacks = config.get("callbacks")
    node = callbacks.get("checkpoints") if isinstance(callbacks, dict) else None
    if not isinstance(node, dict):
        return
    monitor, mode = node.get("monitor"), node.get("mode")
    wanted = better_direction(str(monitor)) or mode
    if mode in ("min", "max") and mode != wanted:
        key, worst = "callbacks.checkpoints", "highest" if mode == "max" else "lowest"
        message = (
            f"{key}.monitor={monitor} with {key}.mode={mode} would keep the checkpoint with the "
            f"{worst} {monitor}: type {key}.mode={wanted}."
        )
        yield Fault(message, (f"{key}.monitor", f"{key}.mode"))


def _of_the_end(trainer: Config) -> Iterator[Fault]:
    epochs, steps = trainer.get("max_epochs"), trainer.get("max_steps", -1)
    ends = trainer.get("max_time") or trainer.get("fast_dev_run")
    if epochs in (None, -1) and steps == -1 and not ends:
        message = (
            f"trainer.max_epochs={shown(epochs)} with trainer.max_steps=-1 never ends: type "
            "trainer.max_epochs=N or trainer.max_steps=N."
        )
        yield Fault(message, ("trainer.max_epochs", "trainer.max_steps"))
    for unit, most in (("epochs", epochs), ("steps", steps)):
        least = trainer.get(f"min_{unit}")
        if _count(least) and _count(most) and least > most:
            message = (
                f"trainer.min_{unit}={least} is more than trainer.max_{unit}={most}: type "
                f"trainer.max_{unit}={least} or trainer.min_{unit}=null."
            )
            yield Fault(message, (f"trainer.min_{unit}", f"trainer.max_{unit}"))


def faults_of_processor(trainer: Config) -> Iterator[Fault]:
    """Settings that a run on a CPU cannot have."""
    if trainer.get("accelerator") != "cpu":
        return
    precision = trainer.get("precision")
    if isinstance(precision, str) and precision.startswith(("16-", "transformer-engine")):
        message = (
            f"trainer.precision={precision} needs a GPU; on a CPU type "
            "trainer.precision=32-true, or choose trainer=gpu."
        )
        yield Fault(message, ("trainer.precision", "trainer.accelerator"))
    if trainer.get("float8") is True:
        message = (
            "trainer.float8=true needs a GPU: type trainer.float8=false, or choose trainer=gpu."
        )
        yield Fault(message, ("trainer.float8", "trainer.accelerator"))
    if isinstance(devices := trainer.get("devices"), list):
        message = (
            f"trainer.devices={shown(devices)} names GPUs, and a CPU has none: type "
            f"trainer.devices={max(1, len(devices))} for that many processes."
        )
        yield Fault(message, ("trainer.devices", "trainer.accelerator"))


def _of_shards(trainer: Config, config: Config) -> Iterator[Fault]:
    """Settings that do not work with a model that is sharded over processes."""
    key = "trainer.sharded_checkpoints"
    if trainer.get("strategy") != "fsdp":
        if trainer.get("sharded_checkpoints") is True and isinstance(trainer.get("strategy"), str):
            message = (
                f"{key}=true is for trainer.strategy=fsdp, where there are shards: type "
                f"{key}=false, or choose trainer=fsdp."
            )
            yield Fault(message, (key, "trainer.strategy"))
        return
    if trainer.get("precision") == "16-mixed" and trainer.get("accelerator") != "cpu":
        message = (
            "trainer.precision=16-mixed scales the loss, which trainer.strategy=fsdp does not: "
            "type trainer.precision=bf16-mixed or 32-true, or trainer.strategy=ddp."
        )
        yield Fault(message, ("trainer.precision", "trainer.strategy"))
    callbacks = config.get("callbacks")
    nodes = callbacks if isinstance(callbacks, dict) else {}
    checkpoints, ema = nodes.get("checkpoints"), nodes.get("ema")
    if isinstance(ema, dict) and ema.get("decay") is not None:
        message = (
            f"callbacks.ema.decay={shown(ema['decay'])} keeps a whole copy of the weights, which "
            "trainer.strategy=fsdp shards: type callbacks.ema.decay=null, or trainer.strategy=ddp."
        )
        yield Fault(message, ("callbacks.ema.decay", "trainer.strategy"))
    asynchronous = isinstance(checkpoints, dict) and checkpoints.get("asynchronous") is True
    if asynchronous and trainer.get("sharded_checkpoints") is True:
        message = (
            "callbacks.checkpoints.asynchronous=true writes from one process, "
            f"{key}=true from all: set one of them to false."
        )
        yield Fault(message, ("callbacks.checkpoints.asynchronous", key))


def _of_empty_places(data: Config) -> Iterator[Fault]:
    for key, value in data.items():
        if isinstance(value, str) and not value.strip() and _PLACE.search(key):
            yield Fault(f"data.{key} is empty: type data.{key}=PATH.", (f"data.{key}",))


def _of_shares(trainer: Config, data: Config) -> Iterator[Fault]:
    """A step's samples are divided among all processes and accumulated batches."""
    target = data.get("_target_")
    found = resolve(target) if isinstance(target, str) else None
    if found is None or not found.is_class:
        return
    if WHOLE_STEPS not in {one if isinstance(one, str) else one.name for one in lineage(found)}:
        return
    batch = data.get("batch_size")
    devices, nodes = _devices(trainer), trainer.get("num_nodes", 1)
    parts = trainer.get("accumulate_grad_batches", 1)
    if not all(map(_count, (batch, devices, nodes, parts))):
        return
    share = devices * nodes * parts
    if batch % share:
        named = [f"trainer.devices={devices}"]
        named += [f"trainer.num_nodes={nodes}"] if nodes > 1 else []
        named += [f"trainer.accumulate_grad_batches={parts}"] if parts > 1 else []
        near = max(1, round(batch / share)) * share
        message = (
            f"data.batch_size={batch} cannot be divided equally among {' and '.join(named)}: type "
            f"data.batch_size={near}, or another number of devices."
        )
        yield Fault(message, ("data.batch_size", *(name.partition("=")[0] for name in named)))


def _devices(trainer: Config) -> Any:
    devices = trainer.get("devices")
    return len(devices) if isinstance(devices, list) else devices


def _count(number: Any) -> TypeGuard[int]:
    return isinstance(number, int) and not isinstance(number, bool) and number > 0
