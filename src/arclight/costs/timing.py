"""Where the time of the training steps goes, at a microsecond a step."""

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
    """Seconds of the host in each phase of the steps since it was last read.

    On a CUDA device the host only launches what the device does later. So in one step of each
    reading, events are put into the device's stream: they give the device's own time of that step,
    and are looked at only when the host has waited for the device anyway.

    Attributes:
        phases: data: waiting for the next batch (and for a checkpoint, where one is written in
            between); forward_backward; optimizer: clipping and the step; logging: reading the
            figures and writing them.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        self.on_cuda = device is not None and device.type == "cuda"
        self.steps = 0
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self._events: list[torch.cuda.Event] = []
        self._last = time.perf_counter()

    def start(self) -> None:
        """What has passed since the last mark is nobody's: a validation, or a pause."""
        self._last = time.perf_counter()

    def mark(self, phase: Phase) -> None:
        """What has passed since the last mark was this phase."""
        now = time.perf_counter()
        self.seconds[phase] += now - self._last
        self._last = now

    def mark_device(self, sampled: bool) -> None:
        """At the beginning of a step, after its pass back and at its end."""
        if sampled and self.on_cuda:
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record()
            self._events.append(event)

    def read(self) -> dict[str, float]:
        """Milliseconds a step in each phase, and in all; empty before the first step."""
        if not self.steps:
            return {}
        figures = {f"{p}_ms": 1000 * s / self.steps for p, s in self.seconds.items()}
        figures["step_ms"] = sum(figures.values())
        if len(self._events) == 3:
            begun, back, ended = self._events
            figures["forward_backward_ms"] = begun.elapsed_time(back)
            figures["optimizer_ms"] = back.elapsed_time(ended)
        return figures

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
    """Of a pass forward without gradients, as training computes it: the median.

    Args:
        examples: of a batch.
        repeats: how many are measured.
        device: where the task is moved to.
        precision: as the trainer names it.
    """
    from arclight.costs.step import autocast  # with all that counting needs

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
    """GiB: of tensors on a CUDA device, or else of the whole process as the system saw it."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def forget_peak_memory(device: torch.device) -> None:
    """From now on the peak is that of what follows, where the device counts it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
