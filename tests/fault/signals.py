"""SIGTERM, SIGINT and SIGUSR1 at random times: a correct status, and the same bits afterwards."""

import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from arclight.run_directory import RunDirectory
from arclight.training.checkpoint_files import read
from arclight.training.loggers import read_metrics
from tests.fault.harness import (
    SMALL,
    TWO_PROCESSES,
    Command,
    Moment,
    Part,
    Reference,
    finished,
    first_differences,
    incomplete_files,
    train,
    undisturbed,
    wait_for,
)

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
SIGNALS_OF_A_RUN = 8
# seconds after a signal in which every process must end; on a busy machine the time of a start, if
# that is longer
GONE = 10.0
SELDOM = (*SMALL, "trainer.max_epochs=30", "trainer.log_every_n_steps=1")


def signals(
    folder: Path, each: int, processes: int, rng: Random, say: Callable[[str], None]
) -> Part:
    """Sends each signal `each` times, between start and end of a run, and continues the run."""
    part = Part(f"signals at random times, {processes} process(es)", "ended and resumed correctly")
    words = SELDOM if processes == 1 else (*SELDOM, *TWO_PROCESSES)
    like = undisturbed(RunDirectory(folder / f"undisturbed-{processes}"), *words)
    waiting = [number for number in SIGNALS for _ in range(each)]
    rng.shuffle(waiting)
    hit: Counter[str] = Counter()
    told = 0
    for number in range(len(waiting)):  # at most: each run takes several
        if not waiting:
            break
        run = RunDirectory(folder / f"signalled-{processes}-{number}")
        for signum in waiting[:SIGNALS_OF_A_RUN]:
            faults = _signalled(run, like, signum, rng, hit)
            if faults is None:
                break  # the run had ended before
            part.add(f"{signal.Signals(signum).name} to run {number}", faults)
            waiting.remove(signum)
        faults = finished(run, *words) or first_differences(run, like)
        part.add(f"the end of run {number}", [*faults, *incomplete_files(folder)], count=0)
        say(f"{part.name}: {part.verdict}")
        for trial in part.failed[told:]:
            say(f"  FAILED {trial.what}: {trial.note}")
        told = len(part.failed)
        shutil.rmtree(run.path, ignore_errors=True)
    part.notes = [f"{n} {what}" for what, n in sorted(hit.items())]
    return part


def _signalled(
    run: RunDirectory, like: Reference, signum: int, rng: Random, hit: Counter[str]
) -> list[str] | None:
    """Starts or continues the run and sends a signal; returns the faults, None if it had ended."""
    moments: list[Moment] = ["start", "training", "end"]
    status, begun = condition(run)
    with train(run, *like.overrides) as command:
        doing = wait_for(rng.choices(moments, weights=[3, 5, 1])[0], command, run, like, rng)
        if doing == "over":
            return None
        if condition(run) in ((status, begun), ("created", 0)):
            allowed, doing = {"interrupted", "created", status}, "not begun"
        else:
            allowed = {"interrupted"}
        when = time.time()
        command.send(signum)
        faults = after_a_signal(command, signum, max(GONE, like.start_seconds))
        if "Failed to import the site module" in command.output:  # Python's own reaction to SIGINT
            doing, faults = "before Python had started", []
    hit[doing] += 1
    after = condition(run)[0]
    slack = 1.0 if doing == "ending" else 0.1  # signals are ignored while the end is recorded
    if after == "finished" and run.summary_file.stat().st_mtime < when + slack:
        return []  # it had ended before the signal
    if after not in allowed:
        faults.append(f"status {after}")
    return [f"{doing}: {fault}" for fault in [*faults, *too_old(run)]]


def condition(run: RunDirectory) -> tuple[str, int]:
    """Status and number of resumptions, which change when the execution begins."""
    if not run.summary_file.exists():
        return "absent", 0
    summary = run.summary
    return summary["status"], summary["times_resumed"]


def after_a_signal(command: Command, signum: int, seconds: float) -> list[str]:
    """The faults: a wrong exit code, or processes that are left after these seconds."""
    if command.gone_within(seconds) is None:
        left = len(command.pids())
        command.kill()
        return [f"{left} processes still there after {seconds:.0f} s"]
    if command.code != 128 + signum:
        return [f"exit code {command.code} for signal {signum}"]
    return []


def too_old(run: RunDirectory) -> list[str]:
    """Whether the checkpoint lacks more than one trained step; returns the faults."""
    rows = read_metrics(run.metrics_file) if run.metrics_file.exists() else []
    trained = max((int(row["step"]) for row in rows), default=0)
    last = run.checkpoints / "last.ckpt"
    saved = int(read(last)["global_step"]) if last.exists() else 0
    return [f"the checkpoint is of step {saved}, but {trained} was trained"] * (saved < trained - 1)
