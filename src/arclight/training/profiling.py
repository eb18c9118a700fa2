"""Profiling: torch's profiler over a few steps, as a trace and as a table."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.profilers import PassThroughProfiler
from torch.autograd import DeviceType  # type: ignore[attr-defined]
from torch.profiler import ProfilerActivity, record_function, schedule

from arclight.files import TEMPORARY, write_text
from arclight.ranges import Count

WAIT, WARM_UP = 5, 3  # batches before the traced ones: warm-up of the run, then of the profiler
LINES = 20  # operations in the table
OPTIMIZER, FORWARD, BACKWARD = "optimizer and clipping", "forward and loss", "backward"
PARTS = {  # the keys are endings of Lightning's action names
    ".train_dataloader_next": "data",
    ".batch_to_device": "transfer",
    ".training_step": FORWARD,
    ".backward": BACKWARD,
    ".optimizer_step": OPTIMIZER,
}
MARK = "part: "


def profile(
    folder: Path, say: Callable[[str], None], batches: Count | None = None
) -> Callback | None:
    """Traces this many batches early in a run into the run's `profile/`; None: no trace."""
    return None if batches is None else Profile(folder.parent / "profile", batches, say)


class Profile(Callback):
    """Writes `trace.json`, for chrome://tracing or Perfetto, and `table.txt`, and prints the table.

    Only the first process is traced, and only once: other batches run at their usual speed.

    Args:
        folder: the directory of the two files.
        batches: number of traced batches, after the first eight.
        say: prints the table.
    """

    def __init__(self, folder: Path, batches: int, say: Callable[[str], None]) -> None:
        self.folder, self.batches, self.say = folder, batches, say
        self._profiler: torch.profiler.profile | None = None
        self._before: Any = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        cuda = pl_module.device.type == "cuda"
        self._before, trainer.profiler = trainer.profiler, Parts()  # type: ignore[attr-defined]
        self._profiler = torch.profiler.profile(
            activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])],
            schedule=schedule(wait=WAIT, warmup=WARM_UP, active=self.batches, repeat=1),
            on_trace_ready=lambda profiler: self._write(profiler, pl_module.device),
        )
        self._profiler.start()

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if self._profiler is not None:
            self._profiler.step()
            if self._profiler.step_num == WAIT + WARM_UP + self.batches:
                self._end(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._profiler is not None:
            self.say(
                f"warning: nothing was profiled, because the run had fewer than "
                f"{WAIT + WARM_UP + self.batches} batches; train longer, or lower "
                "callbacks.profile.batches."
            )
            self._profiler.on_trace_ready = None
            self._end(trainer)

    def _end(self, trainer: L.Trainer) -> None:
        assert self._profiler is not None
        self._profiler.stop()
        self._profiler, trainer.profiler = None, self._before  # type: ignore[attr-defined]

    def _write(self, profiler: torch.profiler.profile, device: torch.device) -> None:
        self.folder.mkdir(exist_ok=True)
        trace = self.folder / "trace.json"
        part = self.folder / f".{trace.name}{TEMPORARY}"
        profiler.export_chrome_trace(str(part))
        part.replace(trace)
        page = table(profiler.key_averages(), self.batches, device.type == "cuda")
        write_text(self.folder / "table.txt", page + "\n")
        self.say(f"{page}\nTrace: {trace}")


class Parts(PassThroughProfiler):
    """Marks the parts of a step, and its callbacks, for torch's profiler."""

    def __init__(self) -> None:
        super().__init__()
        self._open: dict[str, record_function] = {}

    def profile(self, action_name: str) -> AbstractContextManager[Any]:  # type: ignore[override]
        name = self._part(action_name)
        return record_function(MARK + name) if name else nullcontext()

    @staticmethod
    def _part(action: str) -> str | None:
        if action.startswith("[Callback]"):
            return "callbacks"
        if action.startswith("[LightningDataModule]"):
            return None
        return next((part for end, part in PARTS.items() if action.endswith(end)), None)

    def start(self, action_name: str) -> None:
        name = self._part(action_name)
        if name:
            self._open[action_name] = record_function(MARK + name)
            self._open[action_name].__enter__()  # type: ignore[no-untyped-call]

    def stop(self, action_name: str) -> None:
        opened = self._open.pop(action_name, None)
        if opened is not None:
            opened.__exit__(None, None, None)


def table(events: Any, batches: int, cuda: bool) -> str:
    """The milliseconds of a batch by its parts, and the slowest operations, as text.

    Args:
        events: the profiler's averages by name.
        batches: number of traced batches.
        cuda: whether CUDA was traced too; operations are then sorted by device time.
    """
    host: dict[str, float] = {}
    for event in events:
        if event.key.startswith(MARK) and event.device_type == DeviceType.CPU:  # repeated for CUDA
            host[event.key.removeprefix(MARK)] = event.cpu_time_total / 1000 / batches
    steps = [e for e in events if e.key.startswith("ProfilerStep")]
    whole = sum(e.cpu_time_total for e in steps if e.device_type == DeviceType.CPU)
    whole = whole / 1000 / batches
    if OPTIMIZER in host:  # Lightning's optimizer step includes forward and backward
        host[OPTIMIZER] -= host.get(FORWARD, 0.0) + host.get(BACKWARD, 0.0)
    host["other"] = max(0.0, whole - sum(host.values()))
    lines = [f"{'Time of a batch':<44}{'ms':>9}{'share':>8}"]
    for name, ms in host.items():
        lines.append(f"{name:<44}{ms:>9.3f}{ms / whole if whole else 0:>8.1%}")
    lines.append(f"{f'total, the mean of {batches} batches':<44}{whole:>9.3f}")
    kind = "device" if cuda else "cpu"

    def own(event: Any) -> float:
        time: float = event.self_device_time_total if cuda else event.self_cpu_time_total
        return time / 1000 / batches

    # With CUDA only kernels: an operation's device time includes that of its kernels.
    operations = [
        e
        for e in events
        if not e.key.startswith((MARK, "ProfilerStep"))
        and not (cuda and e.is_user_annotation)
        and (e.device_type == DeviceType.CUDA) == cuda
    ]
    total = sum(map(own, operations)) or 1.0
    lines += ["", f"{f'Operations by their own {kind} time':<44}{'ms':>9}{'share':>8}{'calls':>8}"]
    for event in sorted(operations, key=own, reverse=True)[:LINES]:
        ms, calls = own(event), event.count / batches
        lines.append(f"{event.key[:43]:<44}{ms:>9.3f}{ms / total:>8.1%}{calls:>8.1f}")
    return "\n".join(lines)
