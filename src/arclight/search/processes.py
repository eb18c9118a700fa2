"""Executes many jobs, each with some run directories, in several processes at a time."""

import gc
import os
import selectors
import signal
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from arclight.console import say
from arclight.errors import UserError
from arclight.processes.devices import cores
from arclight.provenance.manifest import describe
from arclight.run_directory import RunDirectory
from arclight.search.trial import Ending, ending, fork
from arclight.signals import SIGNALS

POLL_SECONDS = 2.0  # seconds between checks for jobs whose command has died


class Job(Protocol):
    """What one process executes, while this command keeps it locked."""

    retries: int
    found: bool  # whether it was started by a process that no longer exists

    def release(self) -> None: ...


J = TypeVar("J", bound=Job)


@dataclass
class Running(Generic[J]):
    """A job in a process of this command."""

    job: J
    runs: list[RunDirectory]
    slot: int


class Processes(ABC, Generic[J]):
    """Executes jobs in forked processes until none are left, here or in other commands.

    A killed process costs a retry; a signal interrupts the runs, which save a checkpoint.

    Args:
        slots: environment variables for each worker's processes, such as its GPUs.
        retry: how often a killed job is continued.
        threads: CPU threads of each process; None: the cores divided by the workers.
    """

    def __init__(self, slots: list[dict[str, str]], retry: int, threads: int | None) -> None:
        self.slots, self.retry, self.threads = slots, retry, threads
        self.signum = 0
        self.running: dict[int, Running[J]] = {}
        self.describe = _remembered(describe)

    # ------------------------------------------------------------------ defined by subclasses

    @property
    @abstractmethod
    def is_over(self) -> bool:
        """Whether no job is left to start or to wait for, here or in other commands."""

    @abstractmethod
    def claim(self) -> J | None:
        """A job to execute; None if there is none now."""

    @abstractmethod
    def folder_of(self, job: J) -> Path:
        """The folder for the output of the job's process."""

    @abstractmethod
    def title_of(self, job: J) -> str:
        """The name of the job in messages."""

    @abstractmethod
    def directories(self, job: J) -> list[RunDirectory]:
        """The job's run directories, created if they do not exist.

        Raises:
            UserError: they cannot be created.
        """

    @abstractmethod
    def settle(self, job: J, runs: list[RunDirectory], end: Ending) -> None:
        """Called when the job has ended."""

    @abstractmethod
    def fail(self, job: J, reason: str) -> None:
        """Called when the job failed before its run directories existed."""

    def retried(self, job: J) -> None:
        """Called when a retry of the job has been counted."""

    def environment(self, job: J) -> dict[str, str]:
        """Environment variables for the job's process, in addition to those of its slot."""
        return {}

    def open(self, stack: ExitStack) -> None:
        """Called before the first job; contexts on the stack are closed after the last job."""

    # ------------------------------------------------------------------------- the work

    def run(self) -> int:
        """Works until all jobs have ended, here and in other commands.

        Returns:
            The number of the signal that stopped it, or 0.
        """
        with ExitStack() as stack:
            stack.callback(gc.unfreeze)
            stack.callback(self._kill)
            self._listen(stack)
            self.open(stack)
            while not self._done():
                self._fill()
                self._wait()
                self._reap()
        return self.signum

    def _done(self) -> bool:
        if self.running:
            return False
        return bool(self.signum) or self.is_over

    def _listen(self, stack: ExitStack) -> None:
        self._wake, bell = socket.socketpair()
        for end in (self._wake, bell):
            end.setblocking(False)
            stack.enter_context(end)
        before = signal.set_wakeup_fd(bell.fileno(), warn_on_full_buffer=False)
        stack.callback(signal.signal, signal.SIGCHLD, signal.SIG_DFL)
        stack.callback(signal.set_wakeup_fd, before)
        for number in (*SIGNALS, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)  # handled through the wakeup descriptor
        self.selector = stack.enter_context(selectors.DefaultSelector())
        self.selector.register(self._wake, selectors.EVENT_READ, self._signal)

    def _kill(self) -> None:
        for pid in self.running:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _wait(self) -> None:
        for key, _ in self.selector.select(POLL_SECONDS):
            key.data()

    def _signal(self) -> None:
        """The first signal interrupts the runs, which save a checkpoint; the second kills them."""
        for number in self._wake.recv(64):
            if number not in SIGNALS:
                continue
            send = signal.SIGKILL if self.signum else signal.SIGTERM
            if not self.signum and self.running:
                say("Interrupting the running trials, which save first; repeat to kill them.")
            self.signum = number
            for pid in self.running:
                with suppress(ProcessLookupError):
                    os.kill(pid, send)

    def _fill(self) -> None:
        while not self.signum and len(self.running) < len(self.slots):
            job = self.claim()
            if job is None:
                return
            self._begin(job)

    def _begin(self, job: J) -> None:
        try:
            runs = self.directories(job)
        except UserError as error:
            self.fail(job, str(error).replace("\n", "; "))
            return
        if job.found:
            past = ending(runs, None)
            if past.outcome in ("finished", "pruned", "failed"):
                self.settle(job, runs, past)  # it ended while no command was running
                return
            say(f"{self.title_of(job)} continues: its worker had died or was stopped.")
        self._start(job, runs)

    def _start(self, job: J, runs: list[RunDirectory]) -> None:
        used = {r.slot for r in self.running.values()}
        slot = next(i for i in range(len(self.slots)) if i not in used)
        env = {**self.slots[slot], **self.environment(job)}
        share = max(1, cores() // len(self.slots))
        threads = self.threads or int(os.environ.get("OMP_NUM_THREADS", share))
        pid = fork(self.folder_of(job), runs, env, threads)
        self.running[pid] = Running(job, runs, slot)

    def _reap(self) -> None:
        for pid, running in list(self.running.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done:
                continue
            del self.running[pid]
            job, end = running.job, ending(running.runs, status)
            if end.outcome in ("lost", "interrupted") and self.signum:
                job.release()  # the next command continues it
            elif end.outcome in ("lost", "interrupted") and job.retries < self.retry:
                job.retries += 1
                self.retried(job)
                say(f"{self.title_of(job)} {end.reason}; retry {job.retries} continues it.")
                self._start(job, running.runs)
            else:
                self.settle(job, running.runs, end)


def note_lost(runs: Sequence[RunDirectory], reason: str) -> None:
    """Marks the runs of a failed job as failed, if they could not do so themselves."""
    for run in runs:
        if run.status not in ("finished", "failed"):
            run.update_summary(status="failed", error=reason)
            with suppress(OSError), run.log_file.open("a") as log:
                print(f"The trial was {reason}.", file=log)


def _remembered(
    describe: Callable[[dict[str, Any]], dict[str, Any]],
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Reuses the first job's manifest, except time and seed: git and packages do not change."""
    known: dict[str, Any] = {}

    def again(config: dict[str, Any]) -> dict[str, Any]:
        if not known:
            known.update(describe(config))
        return {**known, "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "seed": config["seed"]}

    return again
