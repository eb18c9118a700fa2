"""Benchmarks: times calls and processes, and writes the samples as a table and a JSON file."""

import os
import pty
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Any, Literal

from arclight.errors import UserError
from arclight.files import write_json
from arclight.provenance.manifest import git_state, hardware, packages

VERSIONS = ("torch", "torchvision", "lightning", "hydra-core", "numpy")


@dataclass(frozen=True)
class Row:
    """One benchmark: alternating samples of the project and a baseline, and their comparison.

    Attributes:
        name: what is measured.
        unit: of the samples.
        project: one sample for each round.
        bare: samples of the baseline in the same rounds; empty if there is no baseline.
        figure: the compared value: the `ratio` or `difference` of both, or the `project`'s own.
        target: the target for the compared value; None: for information only.
        at_least: the value should be at least the target; else at most.
    """

    name: str
    unit: str
    project: list[float]
    bare: list[float]
    figure: Literal["ratio", "difference", "project"] = "ratio"
    target: float | None = None
    at_least: bool = False

    @property
    def figures(self) -> list[float]:
        """The compared value of each round. Both samples of a round are close in time, so drift
        cancels.
        """
        if self.figure == "project":
            return self.project
        pairs = zip(self.project, self.bare, strict=True)
        if self.figure == "ratio":
            return [ours / theirs for ours, theirs in pairs]
        return [ours - theirs for ours, theirs in pairs]

    @property
    def met(self) -> bool | None:
        """Whether the median value meets the target; None if there is no target."""
        if self.target is None:
            return None
        found = median(self.figures)
        return found >= self.target if self.at_least else found <= self.target

    def cells(self) -> list[str]:
        """The cells of a table row."""
        unit = "x" if self.figure == "ratio" else f" {self.unit}"
        sign = "+" if self.figure == "difference" else ""
        low, high = min(self.figures), max(self.figures)
        goal = {None: "", True: "met", False: "missed"}[self.met]
        return [
            self.name,
            _with_spread(self.project, self.unit),
            _with_spread(self.bare, self.unit) if self.bare else "",
            f"{_short(median(self.figures), sign)}{unit} ({_short(low)} to {_short(high)})",
            f"{'>=' if self.at_least else '<='} {self.target:g}: {goal}" if goal else "",
            str(len(self.project)),
        ]

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "median": median(self.figures), "met": self.met}


def _short(number: float, sign: str = "") -> str:
    return f"{number:{sign},.0f}" if abs(number) >= 1000 else f"{number:{sign}.3g}"


def _with_spread(samples: Sequence[float], unit: str) -> str:
    return f"{_short(median(samples))} {unit} ({_short(min(samples))} to {_short(max(samples))})"


def table(rows: Sequence[Row]) -> str:
    """A table of medians, minima and maxima of both sides and of the compared value."""
    lines = [["what", "project", "bare loop", "result", "target", "n"]]
    lines += [row.cells() for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )
    return "\n".join(line.rstrip() for line in padded)


def write(rows: Sequence[Row], path: Path) -> None:
    """Writes the raw samples, with command, commit, hardware and versions, as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    installed = packages()
    content = {
        "command": shlex.join([Path(sys.executable).name, *sys.argv]),
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "commit": git_state()["commit"],
        "hardware": hardware(),
        "versions": {
            "python": sys.version.split()[0],
            **{name: installed[name] for name in VERSIONS if name in installed},
        },
        "rows": [row.to_dict() for row in rows],
    }
    write_json(path, content)


def timed(work: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def terminal() -> Iterator[None]:
    """Replaces stderr by a pseudo-terminal, read by a thread, so the progress bar is drawn."""
    master, slave = pty.openpty()

    def read() -> None:
        with suppress(OSError):
            while os.read(master, 4096):
                pass
        os.close(master)

    Thread(target=read, daemon=True).start()
    before, sys.stderr = sys.stderr, os.fdopen(slave, "w")
    try:
        yield
    finally:
        sys.stderr.close()
        sys.stderr = before


@contextmanager
def one_thread() -> Iterator[None]:
    """Limits torch to one thread: more do not help small models, and synchronising adds noise."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def process(folder: Path, *words: str, until: Path | None = None) -> tuple[float, float, float]:
    """Runs Python with these arguments in a folder, and terminates it when `until` has content.

    Returns:
        Seconds until then, seconds until the end, and peak resident memory in MB.

    Raises:
        UserError: the process failed, or ended without writing `until`.
    """
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, *words], env=env, cwd=folder, stdout=subprocess.DEVNULL, stderr=errors
        )
        reached = 0.0
        while until and not reached:
            if until.is_file() and until.stat().st_size:
                reached = time.perf_counter() - began
            elif os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break
            time.sleep(0.002)
        if reached:
            child.terminate()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if not reached and (until or child.returncode):
            errors.seek(0)
            raise UserError(f"{' '.join(words)} failed: {errors.read().decode()[-500:]}")
    return reached, time.perf_counter() - began, usage.ru_maxrss / 1024
