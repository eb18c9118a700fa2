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
    litter,
    train,
    undisturbed,
    unlike,
    wait_for,
)

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
SIGNALS_OF_A_RUN = 8
GONE = 10.0  # seconds after the signal in which every process must be gone; on a machine that is
# so busy that a start takes longer, as many as a start
SELDOM = (*SMALL, "trainer.max_epochs=30", "trainer.log_every_n_steps=1")


def signals(
    folder: Path, each: int, processes: int, rng: Random, say: Callable[[str], None]
) -> Part:
    """Each signal so many times, from a process's start to its end; then the run is continued."""
    part = Part(
        f"signals at random times, {processes} process(es)", "ended and resumed as promised"
    )
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
                break  # the run was over before
            part.add(f"{signal.Signals(signum).name} to run {number}", faults)
            waiting.remove(signum)
        faults = finished(run, *words) or unlike(run, like)
        part.add(f"the end of run {number}", [*faults, *litter(folder)], count=0)
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
    """Starts or continues the run and signals it once; what was wrong, or None: it was over."""
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
        if "Failed to import the site module" in command.output:  # Python's own word for SIGINT
            doing, faults = "before Python had begun", []
    hit[doing] += 1
    after = condition(run)[0]
    slack = 1.0 if doing == "ending" else 0.1  # signals are ignored while the end is written down
    if after == "finished" and run.summary_file.stat().st_mtime < when + slack:
        return []  # it was over when the signal came
    if after not in allowed:
        faults.append(f"status {after}")
    return [f"{doing}: {fault}" for fault in [*faults, *too_old(run)]]


def condition(run: RunDirectory) -> tuple[str, int]:
    """Status and number of resumptions: what changes when the run's execution begins."""
    if not run.summary_file.exists():
        return "absent", 0
    summary = run.summary
    return summary["status"], summary["times_resumed"]


def after_a_signal(command: Command, signum: int, seconds: float) -> list[str]:
    """What is wrong with the exit code, and with who is left after so many seconds."""
    if command.gone_within(seconds) is None:
        left = len(command.pids())
        command.kill()
        return [f"{left} processes still there after {seconds:.0f} s"]
    if command.code != 128 + signum:
        return [f"exit code {command.code} for signal {signum}"]
    return []


def too_old(run: RunDirectory) -> list[str]:
    """Whether more than one step that was trained is missing in the checkpoint."""
    rows = read_metrics(run.metrics_file) if run.metrics_file.exists() else []
    trained = max((int(row["step"]) for row in rows), default=0)
    last = run.checkpoints / "last.ckpt"
    saved = int(read(last)["global_step"]) if last.exists() else 0
    return [f"the checkpoint is of step {saved}, trained was {trained}"] * (saved < trained - 1)
