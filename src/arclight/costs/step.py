"""The costs of one training step, estimated from shapes: nothing is computed."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn
from torchmetrics import Metric

from arclight.costs.cpu_attention import CpuAttention
from arclight.costs.meter import Meter
from arclight.costs.optimizer_state import state_bytes
from arclight.data.facts import Facts
from arclight.libraries.pytorch import (
    FakeTensorMode,
)
from arclight.tasks.task import Task

Build = Callable[[dict[str, Any], Facts], Any]
"""Builds the task of a config."""

T = TypeVar("T")


@dataclass(frozen=True)
class StepCosts:
    """The costs of a forward and backward pass on one device, and of the optimizer's state.

    Attributes:
        examples: of the batch.
        forward_flops: FLOPs of the forward pass.
        flops: FLOPs of forward and backward, without what activation checkpointing recomputes.
        weights: bytes of parameters and buffers.
        gradients: bytes of the gradients.
        optimizer: bytes of the optimizer's state.
        activations: further bytes at the peak.
    """

    examples: int
    forward_flops: int
    flops: int
    weights: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def fixed(self) -> int:
        """Bytes that do not depend on the batch."""
        return self.weights + self.gradients + self.optimizer

    @property
    def peak(self) -> int:
        return self.fixed + self.activations


def dry_step(
    task: Task,
    facts: Facts,
    examples: int,
    device: str = "cpu",
    precision: str = "32-true",
    accumulate: bool = False,
    real: Callable[[], Any] | None = None,
) -> StepCosts:
    """The costs of a training step on `device`, which this machine need not have.

    The task's step runs on tensors that have shapes but no values, with the kernels and the
    precision of the device. Weights, other states of the modules and random states do not change.

    Args:
        examples: of the batch, on one device.
        device: "cpu", "cuda" or "mps".
        precision: the trainer's precision.
        accumulate: gradients are accumulated over several batches, so they are kept.
        real: returns a real batch, for a task without `blank_batch`; only its shapes are used.

    Raises:
        Exception: of any kind, if the step depends on values of tensors.
    """
    state = state_bytes(task)
    batches = Batches(task, facts, examples, real)
    with _left_alone(task):
        return _dry(lambda: _Step(task, batches, device, precision, accumulate, state))


def dry_evaluation(
    task: Task, facts: Facts, examples: int, device: str = "cpu", precision: str = "32-true"
) -> int:
    """Bytes that an evaluation batch needs besides weights, gradients and the optimizer's state.

    Works like `dry_step`. Metrics are not counted. If an evaluation reads values of tensors (to
    generate text, for example), only the part before that is counted.

    Raises:
        Exception: as `dry_step`.
    """
    with _left_alone(task):
        task.eval()
        for module in task.modules():
            if isinstance(module, Metric):
                module.update = lambda *_, **__: None  # type: ignore[method-assign]
        return _dry(lambda: _Evaluation(task, Batches(task, facts, examples), device, precision))


@contextmanager
def _left_alone(task: Task) -> Iterator[None]:
    """Restores the task and the random states at the end."""
    remembered = [(module, dict(vars(module))) for module in task.modules()]
    lists = [(v, v[:]) for _, own in remembered for v in own.values() if isinstance(v, list)]
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        task.sums.clear()
        for module, attributes in remembered:
            vars(module).clear()
            vars(module).update(attributes)
        for one, content in lists:
            one[:] = content


def _dry(make: "Callable[[], _Dry[T]]") -> T:
    """The costs, from tensors without values."""
    one = make()
    if one.device == "cpu" and one.precision == "32-true":
        try:
            with CpuAttention():
                return one.costs("meta")  # several times faster than fake tensors
        except Exception:  # the step reads values, which some fake tensors have
            one.task.sums.clear()
            one = make()
    with FakeTensorMode(allow_non_fake_inputs=True):
        return one.costs(one.device)


class Batches:
    """Batches without values: the task's blank batch, or one with the shapes of a real batch."""

    def __init__(
        self, task: Task, facts: Facts, examples: int, real: Callable[[], Any] | None = None
    ) -> None:
        self.task, self.facts, self.examples = task, facts, examples
        self.real: Any = None
        if type(task).blank_batch is Task.blank_batch and real is not None:
            self.real = real()
            self.examples = _examples_of(self.real)

    def on(self, place: str) -> Any:
        """A batch with its tensors on the device `place`."""
        with torch.device(place):
            if self.real is None:
                return self.task.blank_batch(self.facts, self.examples)
            return apply_to_collection(
                self.real, Tensor, lambda t: torch.zeros(t.shape, dtype=t.dtype)
            )


def _examples_of(batch: Any) -> int:
    tensors: list[Tensor] = []
    apply_to_collection(batch, Tensor, tensors.append)
    return len(tensors[0]) if tensors and tensors[0].ndim else 1


class _Dry(nn.Module, Generic[T]):
    """A module whose `forward` is a whole step, so `functional_call` can replace its weights."""

    def __init__(self, task: Task, batches: Batches, device: str, precision: str) -> None:
        super().__init__()
        self.task, self.batches, self.examples = task, batches, batches.examples
        self.device, self.precision = device, precision
        self.meter = Meter(on_cpu=device == "cpu")

    def costs(self, place: str) -> T:
        """The costs with tensors on `place`: the device itself, or "meta" instead."""
        weights: dict[str, Tensor] = {}
        with self.meter:
            for name, own in (*self.named_parameters(), *self.named_buffers()):
                weights[name] = torch.empty_strided(
                    own.shape, own.stride(), dtype=own.dtype, device=place
                ).requires_grad_(own.requires_grad)
            costs: T = torch.func.functional_call(self, weights, (place,))
        return costs


class _Step(_Dry[StepCosts]):
    def __init__(
        self,
        task: Task,
        batches: Batches,
        device: str,
        precision: str,
        accumulate: bool,
        state: float,
    ) -> None:
        super().__init__(task, batches, device, precision)
        self.accumulate, self.state = accumulate, state

    def forward(self, place: str) -> StepCosts:
        meter = self.meter
        weights = meter.live
        trained = [p for p in self.task.parameters() if p.requires_grad]
        for parameter in trained:
            parameter.grad = torch.zeros_like(parameter)
        gradients = meter.live - weights
        batch = self.batches.on(place)
        with autocast(self.device, self.precision):
            loss: Any = self.task.step_loss(batch)
        forward = meter.flops
        if not self.accumulate:  # as in Lightning, which frees them after the forward pass
            for parameter in trained:
                parameter.grad = None
        meter.backward = True
        loss.backward()
        return StepCosts(
            examples=self.examples,
            forward_flops=forward,
            flops=meter.flops - meter.recomputed,
            weights=weights,
            gradients=gradients,
            optimizer=round(gradients * self.state),
            activations=meter.peak - weights - gradients,
        )


class _Evaluation(_Dry[int]):
    def forward(self, place: str) -> int:
        weights = self.meter.live
        batch = self.batches.on(place)
        try:
            with torch.no_grad(), autocast(self.device, self.precision):
                self.task.validation_step(batch, 0)
        except Exception:
            if place == "meta":  # fake tensors may work where meta tensors fail
                raise
        return self.meter.peak - weights


def autocast(device: str, precision: str) -> AbstractContextManager[Any]:
    """The autocast context in which Lightning runs a step."""
    kinds = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
    if precision not in kinds:
        return nullcontext()
    return torch.autocast(device, kinds[precision])
