"""The tables that a run opens and closes with."""

from typing import Any

import torch

from arclight.costs.timing import PHASES
from arclight.run.directory import RunDirectory
from arclight.run.parts import Parts
from arclight.tasks.task import Task


def opening(
    parts: Parts, where: str, device: torch.device, precision: str, processes: int
) -> list[tuple[str, str]]:
    """What a run is, for the table that it opens with."""
    sizes = parts.data.facts.sizes
    model = type(parts.task.model).__name__
    trained = sum(p.numel() for p in parts.task.model.parameters() if p.requires_grad)
    share = trained / parameters(parts.task)
    frozen = f", {share:.1%} of them trained" if share < 1 else ""
    tokens = parts.task.tokens_per_example(parts.data.facts)
    each = sizes["train"] * (tokens or 1) / max(1, trained)
    several = f", {processes} processes" if processes > 1 else ""
    return [
        ("run", where),
        ("model", f"{model}, {parameters(parts.task):,} parameters{frozen}"),
        (
            "data",
            ", ".join(f"{n:,} {split}" for split, n in sizes.items())
            + f"; {each:.2g} {'tokens' if tokens else 'examples'} a parameter",
        ),
        ("device", f"{device}{several}, {precision}"),
        ("batch", _batch(parts.config, processes)),
    ]


def _batch(config: dict[str, Any], processes: int) -> str:
    """How a step's batch is shared, such as `128 = 2 processes x 32 x 2 accumulated`."""
    size, cut = config["data"]["batch_size"], config["trainer"]["accumulate_grad_batches"]
    if processes * cut == 1:
        return str(size)
    factors = [f"{processes} processes"] if processes > 1 else []
    factors += [str(size // (processes * cut))]
    factors += [f"{cut} accumulated"] if cut > 1 else []
    return f"{size} = {' x '.join(factors)}"


def closing(run: RunDirectory, results: dict[str, Any]) -> list[tuple[str, str]]:
    figures = [(k, f"{v:.4f}") for k, v in results["metrics"].items()]
    seconds = f"{results['training_seconds']:.1f} s"
    if "compile_seconds" in results:
        seconds += f", {results['compile_seconds']:.1f} of them to compile"
    spent = f"{results['epochs']} epochs, {results['steps']} steps, {seconds}"
    costs = results["costs"]
    where = "".join(f", {p} {costs[f'{p}_ms']:.2f}" for p in PHASES if costs).replace("_", "-")
    tested = f"{results['tested_checkpoint']} of step {results['tested_step']}"
    rows = [*figures, ("tested", tested), ("trained", spent)]
    if costs:
        rows.append(("ms a step", where.removeprefix(", ")))
    return [*rows, ("run", str(run.path))]


def parameters(task: Task) -> int:
    return sum(p.numel() for p in task.model.parameters())
