"""One trial: its run directories, the process that executes them, and how it ended."""

import ctypes
import faulthandler
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

from arclight.config.entry import EXIT_USER_ERROR
from arclight.console import detach
from arclight.errors import UserError
from arclight.processes.watch import WATCHER, die_with_watcher
from arclight.run.execute import execute
from arclight.run_directory import RunDirectory
from arclight.signals import SIGNALS, exit_on_signals
from arclight.training.pruning import PRUNING

CONSOLE = "console.log"
TRY_AGAIN = 75  # exit code if another process executes the trial's run directory (EX_TEMPFAIL)

# OpenMP's threads belong to the thread that first computed with them. They do not exist in a forked
# process, which would wait for them forever. So processes are forked by a thread that never
# computes. It lives as long as the search, because for the kernel it is the children's parent.
_FORKER = ThreadPoolExecutor(1, "fork")

Outcome = Literal["finished", "pruned", "failed", "lost", "interrupted"]


@dataclass(frozen=True)
class Ending:
    """How a trial ended, and the reason if it did not finish."""

    outcome: Outcome
    reason: str = ""


def fork(folder: Path, runs: Sequence[RunDirectory], env: dict[str, str], threads: int) -> int:
    """Executes the runs one after another in a forked process; returns its process id.

    The process inherits all imports of this one. Its output goes to the trial's `console.log`.

    Args:
        folder: of the trial.
        runs: the run directories.
        env: added to its environment.
        threads: CPU threads of the process.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    search = os.getpid()

    def work() -> int:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until the child can handle them
        child = os.fork()
        if child == 0:
            _child(search, folder, runs, env, threads)
        return child

    with warnings.catch_warnings():
        # Python 3.12 warns about other threads; the libraries' threads are idle here.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded")
        return _FORKER.submit(work).result()


def _child(
    search: int, folder: Path, runs: Sequence[RunDirectory], env: dict[str, str], threads: int
) -> NoReturn:
    code = 1
    try:
        os.setpgid(0, 0)  # Ctrl-C reaches only the search, which forwards it
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        detach()
        _console(folder / CONSOLE)
        os.environ.update(env)
        os.environ[WATCHER] = str(search)
        _die_with_parent()
        die_with_watcher()
        exit_on_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        code = _execute_all(runs, threads)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            for process in multiprocessing.active_children():  # workers of data loaders
                process.kill()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _execute_all(runs: Sequence[RunDirectory], threads: int) -> int:
    import torch

    torch.set_num_threads(threads)
    for run in runs:
        with run.log_file.open("a") as log:
            faulthandler.enable(log)  # writes tracebacks of crashes in native code
            try:
                code = execute(run)
            except UserError as error:
                print(f"error: {error}", file=log)
                if run.is_held:
                    return TRY_AGAIN
                run.update_summary(status="failed", error=str(error))
                code = EXIT_USER_ERROR
            finally:
                faulthandler.disable()
        if code or run.status != "finished":
            return code
        os.environ.pop(PRUNING, None)  # only the first of several seeds may be pruned
    return 0


def _console(file: Path) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for number in (1, 2):
        os.dup2(handle, number)
    os.close(handle)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115


def _die_with_parent() -> None:
    """Kills this process when the search ends: by the kernel on Linux, elsewhere by its watcher."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, int(signal.SIGKILL))


def ending(runs: Sequence[RunDirectory], status: int | None) -> Ending:
    """How a trial ended.

    Args:
        runs: its run directories.
        status: exit status of its process from `os.waitpid`; None: unknown.
    """
    summaries = [run.summary for run in runs]
    for summary in summaries:
        if summary["status"] == "pruned":
            return Ending("pruned")
        if summary["status"] == "failed":
            error = str(summary["error"]).splitlines()[-1]
            return Ending("lost" if "Signal 9 (SIGKILL)" in error else "failed", error)
    if all(summary["status"] == "finished" for summary in summaries):
        return Ending("finished")
    if status is None:
        return Ending("lost", "its process is gone")
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        name = signal.Signals(-code).name
        memory = ", perhaps by the kernel because memory ran out" if name == "SIGKILL" else ""
        return Ending("lost", f"killed by {name}{memory}")
    if code > 128:
        return Ending("interrupted", f"stopped by {signal.Signals(code - 128).name}")
    if code == TRY_AGAIN:
        return Ending("lost", "another process executes its run directory")
    return Ending("lost" if code == 0 else "failed", f"ended with exit code {code}; see {CONSOLE}")
