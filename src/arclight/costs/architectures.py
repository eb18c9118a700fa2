"""Architectures at their published sizes: parameters, arithmetic, memory, and measured speed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from arclight.config.build import find
from arclight.costs.step import Build, StepCosts, dry_step
from arclight.costs.timing import forward_seconds
from arclight.data.facts import Facts
from arclight.data.module import DataModule
from arclight.tasks.task import Task

REPEATS = 5
BATCH = 8  # of the measured throughput


@dataclass(frozen=True)
class Entry:
    """What is compared.

    Attributes:
        family: the architecture.
        name: of the size.
        published: millions of parameters.
        overrides: of the project's config, that make it.
    """

    family: str
    name: str
    published: float
    overrides: Sequence[str]


@dataclass(frozen=True)
class Row:
    """What is known of an entry.

    Attributes:
        parameters: counted on the meta device.
        step: the costs of a training step with one example, in fp32 with AdamW.
        input: what an example is.
        latency_ms: of one example forward, the median; None: not measured, or too large.
        per_second: examples forward in batches of 8.
    """

    entry: Entry
    parameters: int
    step: StepCosts
    input: str
    latency_ms: float | None = None
    per_second: float | None = None


def compare(
    entry: Entry,
    compose: Callable[[Sequence[str]], dict[str, Any]],
    build: Build,
    room: int | None = None,
) -> Row:
    """Counts an entry and, where its weights fit into `room` bytes, measures its speed on the CPU.

    Args:
        entry: what to build.
        compose: makes the config of overrides.
        build: makes the task of a config.
        room: for measuring; None: nothing is measured.
    """
    config = compose(entry.overrides)
    facts = facts_of(config)
    task = without_numbers(config, facts, build)
    parameters = sum(p.numel() for p in task.model.parameters())
    step = dry_step(task, facts, 1)
    latency = per_second = None
    if room is not None and 4 * parameters + BATCH * step.activations < room:
        with torch.random.fork_rng(devices=[]):
            task = build(config, facts)
        latency = 1000 * forward_seconds(task, facts, 1, REPEATS)
        per_second = BATCH / forward_seconds(task, facts, BATCH, REPEATS)
    return Row(entry, parameters, step, facts.describe_input(), latency, per_second)


def without_numbers(config: dict[str, Any], facts: Facts, build: Build) -> Task:
    """The task of a config, of any size: its weights have shapes and take no memory."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        task: Task = build(config, facts)
    return task


def facts_of(config: dict[str, Any]) -> Facts:
    """What data of these sizes would say, taken from the config alone."""
    data: type[DataModule] = find(config["data"]["_target_"])
    return data.facts_type.assumed(config["model"], config["data"])
