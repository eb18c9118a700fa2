"""Estimates the costs of a run before it trains."""

import math
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import lightning as L
import torch

from arclight.costs.peaks import device_peak, free_memory, matmul_rate
from arclight.costs.step import StepCosts, dry_evaluation, dry_step
from arclight.data.facts import Facts
from arclight.data.module import DataModule
from arclight.tasks.task import Task

Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class Preflight:
    """The forecast of a run.

    Attributes:
        parameters: number of parameters; `trained`: of those that are trained.
        examples: size of the training set.
        batch: examples of one step on all devices; `parts`: the number of parts into which devices
            and gradient accumulation split it.
        steps: optimizer steps of the whole run, at most; 0: not known.
        epochs: of the whole run, if they may end it before `steps`; 0: they do not.
        step: the costs of one part; None: unknown, and `unknown` says why.
        evaluated: examples of an evaluation batch on one device.
        evaluation: bytes of its activations; 0: no more than those of a training step.
        extra: further bytes: the average of the weights, and data on the GPU.
        free: free bytes of the device; None: unknown.
        rate: peak FLOP/s of all devices; None: unknown.
        rate_is: the source of `rate`, as a clause.
    """

    parameters: int
    trained: int
    examples: int
    batch: int
    parts: int
    steps: int
    epochs: int
    step: StepCosts | None
    unknown: str
    evaluated: int
    evaluation: int
    extra: int
    free: int | None
    rate: float | None
    rate_is: str

    @property
    def flops_per_example(self) -> float | None:
        return self.step.flops / self.step.examples if self.step else None

    @property
    def peak(self) -> int | None:
        """Peak memory on one device, in bytes."""
        if self.step is None:
            return None
        return self.step.fixed + max(self.step.activations, self.evaluation) + self.extra

    @property
    def least_seconds(self) -> float | None:
        """Seconds of the run at the peak rate, a lower bound."""
        if self.step is None or self.rate is None:
            return None
        return self.step.flops * self.parts * self.steps / self.rate

    def rows(self) -> Rows:
        """Rows for the table at the start of a run."""
        rows: Rows = []
        if self.step is None:
            rows.append(("step", f"its costs cannot be estimated: {self.unknown}"))
        else:
            each = f"{quantity(self.step.flops * self.parts)}FLOP on {self.batch} examples"
            rows.append(("step", each))
            parts = {
                "weights": self.step.weights,
                "gradients": self.step.gradients,
                "optimizer": self.step.optimizer,
                **(
                    {"an evaluation batch": self.evaluation}
                    if self.evaluation > self.step.activations
                    else {"activations": self.step.activations}
                ),
                "other": self.extra,
            }
            free = f" of {gib(self.free)} free" if self.free else ""
            listed = ", ".join(f"{name} {gib(size)}" for name, size in parts.items() if size)
            rows.append(("memory", f"about {gib(self.peak or 0)}{free}: {listed}"))
        ends = [(self.steps, "steps"), (self.epochs, "epochs")]
        length = " or ".join(f"{count:,} {unit}" for count, unit in ends if count)
        if self.steps and (self.least_seconds or 0) >= 1:
            length += f", at least {duration(self.least_seconds or 0)} {self.rate_is}"
        rows.append(("length", length or "no limit on the steps"))
        return rows


def forecast(
    config: dict[str, Any],
    data: L.LightningDataModule,
    task: L.LightningModule,
    facts: Facts,
    device: torch.device,
    precision: str,
    world_size: int,
) -> Preflight:
    """Estimates the costs of a run; takes some hundredths of a second for a small model.

    Args:
        config: of the run.
        data: the data module, after `setup` if it is a `DataModule`.
        task: the task. The costs of a step can be estimated only for a `Task`.
        facts: facts of the data.
        device: the device of training.
        precision: the trainer's precision, resolved.
        world_size: number of devices that share the batch.
    """
    trainer, accumulate = config["trainer"], config["trainer"]["accumulate_grad_batches"]
    parts = world_size * accumulate
    batch = 0
    if isinstance(data, DataModule):
        batch = config["data"].get("batch_size", data.batch_size)
    weights = list((task.model if isinstance(task, Task) else task).parameters())
    examples = facts.sizes.get("train", 0)
    counted = bool(batch and examples)
    counts = Preflight(
        parameters=sum(p.numel() for p in weights),
        trained=sum(p.numel() for p in weights if p.requires_grad),
        examples=examples,
        batch=batch,
        parts=parts,
        steps=steps_of(trainer, examples, batch) if counted else max(0, trainer["max_steps"] or 0),
        epochs=0 if counted else max(0, trainer["max_epochs"] or 0),
        step=None,
        unknown=(
            f"{type(task).__name__} is a plain LightningModule, so only parameters are counted"
            if not isinstance(task, Task)
            else f"{type(data).__name__} does not define the size of its batches"
        ),
        evaluated=0,
        evaluation=0,
        extra=0,
        free=free_memory(device),
        rate=None,
        rate_is="",
    )
    if not (isinstance(task, Task) and isinstance(data, DataModule)):
        return counts
    step, unknown = None, ""
    try:
        made = max(1, batch // parts)
        step = dry_step(
            task, facts, made, device.type, precision, accumulate > 1, lambda: real_batch(data)
        )
    except Exception as error:  # the step depends on values of tensors, not only on their shapes
        unknown = f"{type(error).__name__}: {error}".splitlines()[0][:120]
    if step and str(trainer["strategy"]).startswith("fsdp"):  # each device has a shard
        fixed = ("weights", "gradients", "optimizer")
        step = replace(step, **{name: getattr(step, name) // world_size for name in fixed})
    evaluated = _evaluated(data, accumulate, world_size)
    evaluation = 0
    if step and evaluated > step.examples:
        with suppress(Exception):  # it may be unknown, like the costs of a step
            evaluation = dry_evaluation(task, facts, evaluated, device.type, precision)
    extra = data.held_bytes() if device.type != "cpu" else 0
    if step and ((config["callbacks"] or {}).get("ema") or {}).get("decay") is not None:
        extra += step.weights
    rate, rate_is = device_peak(device, precision), "at the card's peak"
    if device.type == "cpu" and step:
        rate, rate_is = matmul_rate(), "at this CPU's speed of a matrix product"
    return replace(
        counts,
        step=step,
        unknown=unknown,
        evaluated=evaluated,
        evaluation=evaluation,
        extra=extra,
        rate=rate * (world_size if device.type != "cpu" else 1) if rate else None,
        rate_is=rate_is,
    )


def real_batch(data: DataModule) -> Any:
    """A batch of the training set, for a task without `blank_batch`."""
    return next(iter(data.train_dataloader()))


def _evaluated(data: DataModule, accumulate: int, world_size: int) -> int:
    """Examples of an evaluation batch on one device."""
    largest = max(data.facts.sizes["val"], data.facts.sizes["test"])
    return math.ceil(min(data.evaluated_at_once(accumulate), largest) / world_size)


def steps_of(trainer: dict[str, Any], examples: int, batch: int) -> int:
    """The number of steps of the whole run; 0: not limited."""
    accumulate = trainer["accumulate_grad_batches"]
    every = examples // batch * accumulate
    taken = trainer["limit_train_batches"]
    taken = taken if isinstance(taken, int) else int(taken * every)
    an_epoch = math.ceil(max(1, min(taken, every)) / accumulate)
    limits = [trainer["max_steps"]] if (trainer["max_steps"] or -1) > 0 else []
    if (trainer["max_epochs"] or -1) > 0:
        limits.append(trainer["max_epochs"] * an_epoch)
    return min(limits, default=0)


def quantity(count: float) -> str:
    """A number with an SI prefix, such as `1.2 G`."""
    for prefix in ("", "k", "M", "G", "T", "P"):
        if count < 1000:
            return f"{count:.3g} {prefix}"
        count /= 1000
    return f"{count:.3g} E"


def gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
