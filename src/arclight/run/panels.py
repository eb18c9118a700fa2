"""The tables that a run prints at its start and end."""

from typing import Any

import lightning as L
import torch
from torch import nn

from arclight.config.extensions import describe_last, extensions
from arclight.config.typed import as_typed
from arclight.costs.timing import PHASES
from arclight.data.module import DataModule
from arclight.run.assembly import Parts
from arclight.run_directory import RunDirectory
from arclight.tasks.task import Task


def opening(
    parts: Parts, where: str, device: torch.device, precision: str, processes: int
) -> list[tuple[str, str]]:
    """The rows of the table at the start of a run."""
    network = network_of(parts.task)
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    share = trained / max(1, parameters(parts.task))
    frozen = f", {share:.1%} of them trained" if share < 1 else ""
    several = f", {processes} processes" if processes > 1 else ""
    return [
        ("run", where),
        ("model", f"{type(network).__name__}, {parameters(parts.task):,} parameters{frozen}"),
        ("data", _data(parts, trained)),
        ("device", f"{device}{several}, {precision}"),
        *([("batch", batch)] if (batch := _batch(parts, processes)) else []),
        *([("chosen", _chosen(parts.chosen))] if parts.chosen else []),
        *([("extended", describe_last(parts.config))] if extensions(parts.config) else []),
    ]


def _data(parts: Parts, trained: int) -> str:
    sizes = parts.facts.sizes
    if not sizes:
        return type(parts.data).__name__
    tokens = None
    if isinstance(parts.task, Task):
        tokens = parts.task.tokens_per_example(parts.facts)
    each = sizes["train"] * (tokens or 1) / max(1, trained)
    return (
        ", ".join(f"{n:,} {split}" for split, n in sizes.items())
        + f"; {each:.2g} {'tokens' if tokens else 'examples'} a parameter"
    )


def _chosen(values: dict[str, Any]) -> str:
    """The chosen values, as overrides."""
    return "to fit the images: " + " ".join(f"{k}={as_typed(v)}" for k, v in values.items())


def _batch(parts: Parts, processes: int) -> str:
    """How a step's batch is split, such as `128 = 2 processes x 32 x 2 accumulated`."""
    config = parts.config
    size, cut = config["data"].get("batch_size"), config["trainer"]["accumulate_grad_batches"]
    if not isinstance(size, int):
        return ""
    if not isinstance(parts.data, DataModule):  # batch_size is then per process
        size *= processes * cut
    if processes * cut == 1:
        return str(size)
    factors = [f"{processes} processes"] if processes > 1 else []
    factors += [str(size // (processes * cut))]
    factors += [f"{cut} accumulated"] if cut > 1 else []
    return f"{size} = {' x '.join(factors)}"


def closing(run: RunDirectory, results: dict[str, Any]) -> list[tuple[str, str]]:
    """The rows of the table at the end of a run."""
    metrics = [(k, f"{v:.4f}") for k, v in results["metrics"].items()]
    seconds = f"{results['training_seconds']:.1f} s"
    if "compile_seconds" in results:
        seconds += f", {results['compile_seconds']:.1f} of them to compile"
    spent = f"{results['epochs']} epochs, {results['steps']} steps, {seconds}"
    costs = results["costs"]
    where = "".join(f", {p} {costs[f'{p}_ms']:.2f}" for p in PHASES if costs).replace("_", "-")
    tested = f"{results['tested_checkpoint']} of step {results['tested_step']}"
    if not (run.config["callbacks"].get("checkpoints") or {}).get("monitor"):
        tested += ", as no callbacks.checkpoints.monitor=METRIC selects the best"
    rows = [*metrics, ("tested", tested), ("trained", spent)]
    if costs:
        rows.append(("ms per step", where.removeprefix(", ")))
    return [*rows, ("run", str(run.path))]


def parameters(task: L.LightningModule) -> int:
    """The number of parameters of the task's network."""
    return sum(p.numel() for p in network_of(task).parameters())


def network_of(task: L.LightningModule) -> nn.Module:
    """A task's model; any other module is returned as is."""
    return task.model if isinstance(task, Task) else task
