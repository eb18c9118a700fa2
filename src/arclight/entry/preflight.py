"""`preflight=only`: estimate the cost of a run without training."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from arclight.console import table
from arclight.costs.advice import advice
from arclight.costs.forecast import Preflight, forecast
from arclight.processes.devices import process_count, require_devices, resolve_accelerator
from arclight.run.assembly import build_parts, build_task
from arclight.run.panels import opening
from arclight.training.trainer import resolve_precision

DEVICES = {"gpu": "cuda", "cpu": "cpu", "mps": "mps"}


def preflight_only(config: dict[str, Any]) -> Preflight:
    """Prints the opening table and the advice of a run; writes no files."""
    trainer = config["trainer"]
    require_devices(trainer)
    with TemporaryDirectory() as folder:
        parts = build_parts(config, Path(folder))
    config = parts.config
    device = torch.device(DEVICES[resolve_accelerator(trainer)])
    world = process_count(trainer) * trainer["num_nodes"]
    precision = resolve_precision(trainer["precision"], trainer["accelerator"])
    found = forecast(config, parts.data, parts.task, parts.facts, device, precision, world)
    where = "no run: preflight=only"
    print(table([*opening(parts, where, device, precision, world), *found.rows()], "Arclight"))
    for note in getattr(parts.data, "notes", ()):
        print(note)
    facts = parts.facts
    for sentence in advice(config, facts, parts.task, found, device, precision, build_task):
        print(f"advice: {sentence}")
    return found
