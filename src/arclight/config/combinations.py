"""Settings of which each is right, and that cannot train together."""

import re
from collections.abc import Iterator
from typing import Any

from arclight.config.lineage import lineage
from arclight.config.source import resolve

Config = dict[str, Any]

WHOLE_STEPS = "arclight.data.module.DataModule"
"""Data modules whose `batch_size` is that of a whole step, over all processes."""

_PLACE = re.compile(r"(^|_)(path|root|folder|dir|file)$")


def faults_of_combinations(config: Config) -> Iterator[str]:
    """One line for each."""
    trainer, data = config.get("trainer"), config.get("data")
    if isinstance(trainer, dict):
        yield from _of_the_end(trainer)
    if isinstance(data, dict):
        yield from _of_empty_places(data)
        if isinstance(trainer, dict):
            yield from _of_shares(trainer, data)


def _of_the_end(trainer: Config) -> Iterator[str]:
    epochs, steps = trainer.get("max_epochs"), trainer.get("max_steps", -1)
    if epochs not in (None, -1) or steps != -1:
        return
    if not (trainer.get("max_time") or trainer.get("fast_dev_run")):
        said = "null" if epochs is None else epochs
        yield (
            f"trainer.max_epochs={said} with trainer.max_steps=-1 never ends: type "
            "trainer.max_epochs=N or trainer.max_steps=N."
        )


def _of_empty_places(data: Config) -> Iterator[str]:
    for key, value in data.items():
        if value == "" and _PLACE.search(key):
            yield f"data.{key} is empty: type data.{key}=PATH."


def _of_shares(trainer: Config, data: Config) -> Iterator[str]:
    """A step's samples are shared by all processes, and by the batches that are accumulated."""
    target = data.get("_target_")
    found = resolve(target) if isinstance(target, str) else None
    if found is None or not found.is_class:
        return
    if WHOLE_STEPS not in {one if isinstance(one, str) else one.name for one in lineage(found)}:
        return
    batch = data.get("batch_size")
    counts = [_devices(trainer), trainer.get("num_nodes", 1)]
    counts.append(trainer.get("accumulate_grad_batches", 1))
    if not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in (batch, *counts)):
        return
    devices, nodes, parts = counts
    share = devices * nodes * parts
    if batch % share:
        named = [f"trainer.devices={devices}"]
        named += [f"trainer.num_nodes={nodes}"] if nodes > 1 else []
        named += [f"trainer.accumulate_grad_batches={parts}"] if parts > 1 else []
        near = max(1, round(batch / share)) * share
        yield (
            f"data.batch_size={batch} cannot be shared equally by {' and '.join(named)}: type "
            f"data.batch_size={near}, or another number of devices."
        )


def _devices(trainer: Config) -> Any:
    devices = trainer.get("devices")
    return len(devices) if isinstance(devices, list) else devices
