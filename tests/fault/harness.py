"""Starts runs as a user does, disturbs them at random times, and compares their results."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Literal

import torch

from arclight.run_directory import RunDirectory
from arclight.training.checkpoint_files import read
from arclight.training.loggers import read_metrics
from arclight.training.record import TIMING

PROJECT = Path(__file__).parents[2]
MARK = "ARCLIGHT_FAULT_SUITE"  # environment variable of all processes that a command starts
PATIENCE = 300.0  # seconds for an undisturbed command
HANGS = 1200.0  # seconds after which a command counts as hanging

SMALL = (
    "model=vit",
    "model.d_model=64",
    "model.n_layers=2",
    "model.dropout=0.1",
    "data.limit=96",
    "data.batch_size=16",
    "callbacks.ema.decay=0.9",
)
TWO_PROCESSES = ("trainer=ddp_cpu",)


@dataclass
class Trial:
    """One test, and whether it passed."""

    what: str
    good: bool
    note: str = ""
    count: int = 1  # number of disturbances


@dataclass
class Part:
    """Trials of one kind: a row of the table."""

    name: str
    promise: str
    trials: list[Trial] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what was interrupted, and further facts
    skipped: str = ""  # why the tests were skipped

    def add(self, what: str, faults: Sequence[str], count: int = 1) -> None:
        self.trials.append(Trial(what, not faults, "; ".join(faults), count))

    @property
    def done(self) -> int:
        return sum(t.count for t in self.trials)

    @property
    def good(self) -> int:
        return sum(t.count for t in self.trials if t.good)

    @property
    def failed(self) -> list[Trial]:
        return [t for t in self.trials if not t.good]

    @property
    def verdict(self) -> str:
        """`50 of 50 bitwise equal (12 in the start, 30 in training, 8 in saving)`."""
        if self.skipped:
            return f"skipped: {self.skipped}"
        notes = f" ({', '.join(self.notes)})" if self.notes else ""
        return f"{self.good} of {self.done} {self.promise}{notes}"


class Command:
    """A command in separate processes, which are all found and killed at the end.

    Args:
        words: arguments of `python`.
        folder: the working directory, also for the file with its output.
        env: additional environment variables.
    """

    def __init__(self, *words: str, folder: Path, env: dict[str, str] | None = None) -> None:
        self._mark = f"{MARK}={secrets.token_hex(8)}".encode()
        key, _, value = self._mark.decode().partition("=")
        self._output = folder / f"output-{value}.txt"
        self.began = time.time()
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *words],
                cwd=folder,
                env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {}), key: value},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> "Command":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace")

    @property
    def running(self) -> bool:
        """Whether it is still running; all loops that wait for it check this.

        Raises:
            TimeoutError: it has been running for too long.
        """
        if self.process.poll() is not None:
            return False
        if time.time() > self.began + HANGS:
            raise TimeoutError(f"still running after {HANGS:.0f} s: {last_line(self.output)}")
        return True

    @property
    def code(self) -> int:
        """The exit code as in a shell; waits for the end."""
        code = self.process.wait(HANGS)
        return code if code >= 0 else 128 - code

    def pids(self) -> list[int]:
        """All living processes of the command, including its own."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # the process has ended
                if self._mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return sorted(found)

    def ranks(self) -> list[int]:
        """The training processes of a run with several processes."""
        found = []
        for pid in self.pids():
            with suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if b"arclight.run.execute" in words:
                    found.append(pid)
        return found

    def send(self, number: int) -> None:
        """Sends a signal to the main process, like a shell or a scheduler."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    def kill(self, pids: Sequence[int] | None = None) -> None:
        """Sends SIGKILL to these processes; None: to all, until none is left."""
        for pid in self.pids() if pids is None else pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if pids is None:
            self.process.wait(PATIENCE)
            while left := self.pids():
                self.kill(left)
                time.sleep(0.02)

    def gone_within(self, seconds: float) -> float | None:
        """The seconds until no process was left, or None if some are still there."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if not self.running and not self.pids():
                return time.monotonic() - began
            time.sleep(0.05)
        return None


def train(run: RunDirectory, *overrides: str, project: Path = PROJECT, **env: str) -> Command:
    """Starts `python train.py run_dir=RUN ...`, which creates or continues the run.

    Args:
        project: the folder of `train.py`.
    """
    words = (str(project / "train.py"), f"run_dir={run.path}", *overrides)
    return Command(*words, folder=run.path.parent, env={**environment(project), **env})


def environment(project: Path) -> dict[str, str]:
    """The environment variables that put the packages of another project first."""
    if project == PROJECT:
        return {}
    before = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(project / "src"), before]))}


def finished(run: RunDirectory, *overrides: str, project: Path = PROJECT) -> list[str]:
    """Runs the command to its end, undisturbed; returns the faults."""
    with train(run, *overrides, project=project) as command:
        code = command.code
        if code or run.status != "finished":
            return [f"exit code {code} at the end: {last_line(command.output)}"]
    return []


def last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "no output")


@dataclass
class Reference:
    """An undisturbed run: its results, and the seconds for its start and its training."""

    run: RunDirectory
    overrides: tuple[str, ...]
    ending: dict[str, Any]
    start_seconds: float  # from the command to the first checkpoint
    train_seconds: float  # from the first to the last checkpoint
    project: Path = PROJECT

    @property
    def steps(self) -> int:
        return int(self.ending["steps"])


def undisturbed(run: RunDirectory, *overrides: str, project: Path = PROJECT) -> Reference:
    """Runs the command to its end, and measures times.

    Raises:
        RuntimeError: the undisturbed run failed.
    """
    with train(run, *overrides, project=project) as command:
        while command.running and saves(run) is None:
            time.sleep(0.02)
        first = time.time()
        if command.code:
            raise RuntimeError(f"The undisturbed run failed: {command.output}")
        last = run.checkpoints.joinpath("last.ckpt").stat().st_mtime
        start = first - command.began
        return Reference(run, overrides, ending(run), start, last - first, project)


def saves(run: RunDirectory) -> tuple[int, int] | None:
    """A value that changes with each save of `last.ckpt`; None before the first save."""
    with suppress(FileNotFoundError):
        stat = (run.checkpoints / "last.ckpt").stat()
        return stat.st_ino, stat.st_mtime_ns
    return None


def ending(run: RunDirectory) -> dict[str, Any]:
    """The results that must be equal: the last checkpoint, and metrics except speed."""
    last = read(run.checkpoints / "last.ckpt")
    kept = ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch_metrics")
    rows = read_metrics(run.metrics_file)
    rows = [{k: v for k, v in row.items() if not k.startswith(TIMING)} for row in rows]
    best = run.checkpoints / "best.ckpt"
    return {
        **{k: last[k] for k in kept},
        "best": read(best)["state_dict"] if best.exists() else None,
        "rows": rows,
        **{k: run.summary[k] for k in ("metrics", "steps", "epochs", "tested_step")},
    }


def differences(a: Any, b: Any, where: str = "") -> Iterator[str]:
    """The places in which two results are not equal bit by bit."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        for key in a:
            yield from differences(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from differences(x, y, f"{where}/{i}")
    elif isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        if a.dtype != b.dtype or not torch.equal(a, b):
            yield f"{where} differs"
    elif a != b:
        yield f"{where} differs"


def first_differences(run: RunDirectory, reference: Reference) -> list[str]:
    """The first differences from the undisturbed run in words; empty: equal bit by bit."""
    found = list(differences(ending(run), reference.ending))
    return [*found[:3], f"{len(found)} differences in all"] if found else []


def incomplete_files(folder: Path) -> list[str]:
    """Incomplete files and directories."""
    return [f.name for pattern in (".*.part", ".*.new") for f in folder.rglob(pattern)]


Moment = Literal["start", "training", "end"]


def wait_for(
    moment: Moment, command: Command, run: RunDirectory, reference: Reference, rng: Random
) -> str:
    """Sleeps until a random moment of this kind, or the command's end; returns the run's state."""
    before = saves(run)
    limit = rng.uniform(0, reference.start_seconds) if moment == "start" else PATIENCE
    pause = {"start": 0.0, "training": reference.train_seconds / 3, "end": 2.0}[moment]
    sign = f"step {reference.steps}:"  # in the line of the last validation
    end = time.monotonic() + limit
    while command.running and time.monotonic() < end:
        if moment == "training" and saves(run) != before:
            break
        if moment == "end" and sign in command.output:
            break
        time.sleep(0.01)
    end = time.monotonic() + rng.uniform(0, pause)
    while command.running and time.monotonic() < end:
        time.sleep(0.005)
    if not command.running:
        return "over"
    if sign in command.output:
        return "ending"
    return "starting" if saves(run) == before else "training"
