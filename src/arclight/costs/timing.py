"""Measures the time of training steps by phase, with an overhead of a microsecond per step."""

import resource
import sys
import time
from statistics import median
from typing import Literal

import torch

from arclight.data.facts import Facts
from arclight.tasks.task import Task

CPU = torch.device("cpu")
Phase = Literal["data", "forward_backward", "optimizer", "logging"]
PHASES: tuple[Phase, ...] = ("data", "forward_backward", "optimizer", "logging")


class StepClock:
    """Host seconds in each phase of the steps since it was last cleared.

    With CUDA the host only launches kernels. So one step of each interval records CUDA events,
    which measure the device's time of that step. They are read only when the host has waited for
    the device anyway.

    The phases are `data`: waiting for the next batch (and writing a checkpoint, if one is due);
    `forward_backward`; `optimizer`: clipping and the step; `logging`: reading and writing metrics.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        self.on_cuda = device is not None and device.type == "cuda"
        self.steps = 0
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self._events: list[torch.cuda.Event] = []
        self._last = time.perf_counter()

    def start(self) -> None:
        """Discards the time since the last mark: a validation, or a pause."""
        self._last = time.perf_counter()

    def mark(self, phase: Phase) -> None:
        """Adds the time since the last mark to this phase."""
        now = time.perf_counter()
        self.seconds[phase] += now - self._last
        self._last = now

    def mark_device(self, sampled: bool) -> None:
        """Records a CUDA event: at the start of a step, after the backward pass, and at the end."""
        if sampled and self.on_cuda:
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record()
            self._events.append(event)

    def read(self) -> dict[str, float]:
        """Milliseconds per step in each phase, and in total; empty before the first step."""
        if not self.steps:
            return {}
        times = {f"{p}_ms": 1000 * s / self.steps for p, s in self.seconds.items()}
        times["step_ms"] = sum(times.values())
        if len(self._events) == 3:
            start, backward, end = self._events
            times["forward_backward_ms"] = start.elapsed_time(backward)
            times["optimizer_ms"] = backward.elapsed_time(end)
        return times

    def clear(self) -> None:
        self.steps = 0
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self._events.clear()


def forward_seconds(
    task: Task,
    facts: Facts,
    examples: int,
    repeats: int,
    device: torch.device = CPU,
    precision: str = "32-true",
) -> float:
    """Median seconds of a forward pass without gradients, as in training.

    Args:
        examples: of a batch.
        repeats: number of measurements.
        device: the task is moved to it.
        precision: the trainer's precision.
    """
    from arclight.costs.step import autocast  # slow to import

    task.eval().to(device)
    batch = [part.to(device) for part in task.blank_batch(facts, examples)]
    seconds = []
    with torch.inference_mode(), autocast(device.type, precision):
        for _ in range(repeats + 1):  # the first one warms up
            began = time.perf_counter()
            task.training_step(tuple(batch), 0)
            if device.type in ("cuda", "mps"):
                torch.accelerator.synchronize(device)
            seconds.append(time.perf_counter() - began)
    task.sums.clear()
    return median(seconds[1:])


def peak_memory(device: torch.device) -> float:
    """Peak memory in GiB: of tensors on a CUDA device, else of the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def forget_peak_memory(device: torch.device) -> None:
    """Resets the peak memory of a CUDA device; does nothing on other devices."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
