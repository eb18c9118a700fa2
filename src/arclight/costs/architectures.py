"""Architectures at their published sizes: parameters, FLOPs, memory, and measured speed."""

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
BATCH = 8  # examples per forward pass when throughput is measured


@dataclass(frozen=True)
class Entry:
    """An architecture of one size, to be compared.

    Attributes:
        family: the architecture.
        name: of the size.
        published: the published number of parameters, in millions.
        overrides: the overrides of the project's config that configure it.
    """

    family: str
    name: str
    published: float
    overrides: Sequence[str]


@dataclass(frozen=True)
class Row:
    """The costs of an entry.

    Attributes:
        parameters: counted on the meta device.
        step: the costs of a training step with one example, in fp32 with AdamW.
        input: description of an example.
        latency_ms: median milliseconds of a forward pass with one example; None: not measured.
        per_second: examples per second in forward passes with batches of 8.
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
    """Estimates the costs of an entry and, if it fits into `room` bytes, measures its CPU speed.

    Args:
        entry: what to build.
        compose: composes a config from overrides.
        build: builds the task of a config.
        room: memory for the measurement in bytes; None: do not measure.
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
    """The task of a config on the meta device: its weights have shapes but take no memory."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        task: Task = build(config, facts)
    return task


def facts_of(config: dict[str, Any]) -> Facts:
    """The facts that data of this config would have, without reading any data."""
    data: type[DataModule] = find(config["data"]["_target_"])
    return data.facts_type.assumed(config["model"], config["data"])
