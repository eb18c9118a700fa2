"""Handle the signals that end a run, while there is nothing to save."""

import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

__all__ = ["block_signals_in_children"]

SIGNALS: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` ignores it
    SIGNALS += (signal.SIGHUP,)  # the terminal or connection was closed
AGAIN = 0.5  # seconds
SAME_SIGNAL = 1.0  # seconds within which a second signal counts as a repetition of the first
_exit_signal = 0  # the signal that is ending the process
_exiting_since = 0.0
_handled_at = 0.0
_computing = False
_wakeup_pipes: list[int] = []  # the pipe to the thread that watches signals, once it runs
_before_forced_end: list[Callable[[], object]] = []


def exit_at_once(signum: int, frame: FrameType | None) -> None:
    """Ends the process with the shell's exit code for the signal, running every `finally`.

    Python drops exceptions raised in the callback of a weak reference or in a finalizer, and
    imports make thousands of these. So SystemExit is raised again until it gets through.
    """
    global _exit_signal, _exiting_since
    note_handled()
    if _exit_signal and time.monotonic() - _exiting_since > SAME_SIGNAL:
        end_by_force(signum)  # a thread or a disk may block the exit forever
    if not _exit_signal:
        _exiting_since = time.monotonic()
    _exit_signal = signum

    def again(_: int, frame: FrameType | None) -> None:
        if not isinstance(sys.exception(), SystemExit):  # otherwise it is already being handled
            raise SystemExit(128 + signum)

    signal.signal(signal.SIGALRM, again)
    signal.setitimer(signal.ITIMER_REAL, AGAIN, AGAIN)
    raise SystemExit(128 + signum)


@contextmanager
def before_forced_end(call: Callable[[], object]) -> Iterator[None]:
    """Within the block, `call` is called if `end_by_force` ends the process."""
    _before_forced_end.append(call)
    try:
        yield
    finally:
        _before_forced_end.remove(call)


def end_by_force(signum: int) -> NoReturn:
    """Ends the process without cleanup, for example if threads read from a stalled disk."""
    for call in reversed(_before_forced_end):
        with suppress(Exception):
            call()
    for child in multiprocessing.active_children():
        child.kill()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(128 + signum)


def is_exiting() -> bool:
    """Whether Python has run the handler of a signal that ends the process."""
    return bool(_exit_signal)


def cancel_exit() -> int:
    """Cancels an exit that has not got through yet; returns its signal, or 0.

    The caller must end the process, after it has saved its state.
    """
    global _exit_signal
    signal.setitimer(signal.ITIMER_REAL, 0)
    signum, _exit_signal = _exit_signal, 0
    return signum


def note_handled() -> None:
    """Records that Python has run a signal handler; every handler calls this first."""
    global _handled_at
    _handled_at = time.monotonic()


def set_computing(computing: bool) -> None:
    """While the process computes or saves, a second signal does not end it by force."""
    global _computing
    _computing = computing


def _listen() -> None:
    """Starts a thread that ends the process at a second signal if the first was not handled.

    Python runs handlers between two of its instructions. If a library waits in C for a stalled disk
    or network, they never run, so a thread watches the signals as well.
    """
    if _wakeup_pipes:
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    _wakeup_pipes.append(writer)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_end_if_blocked, args=(reader,), name="signals", daemon=True).start()


def _end_if_blocked(reader: int) -> None:
    first = -math.inf
    while number := os.read(reader, 1):
        if number[0] not in SIGNALS:
            continue
        now = time.monotonic()
        if _handled_at < first:
            time.sleep(AGAIN)  # the handler may be about to run
        if _handled_at >= first:  # the signal before, or this one, was handled
            first = now
        elif now - first > SAME_SIGNAL and not _computing:
            end_by_force(number[0])


def _in_a_child() -> None:
    """Stops a forked child from reporting its signals to the parent's thread."""
    if _wakeup_pipes:
        signal.set_wakeup_fd(-1)
        os.close(_wakeup_pipes.pop())


os.register_at_fork(after_in_child=_in_a_child)


def exit_on_signals() -> None:
    """Makes all signals end the process from now on, also those that `hold_signals` held."""
    cancel_exit()
    note_handled()  # other handlers have dealt with earlier signals
    _listen()
    for number in SIGNALS:
        signal.signal(number, exit_at_once)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def hold_signals() -> None:
    """Holds all signals back until `exit_on_signals` is called."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def ignore_signals() -> None:
    """Ignores all signals from now on.

    Only the main thread can do so: in another one, which ends the process by force, this has no
    effect.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def block_signals_in_children() -> Iterator[None]:
    """Processes that are started within the block ignore the signals that end a run.

    A scheduler signals every process of a job, but the run needs its helper processes until its
    checkpoint is saved; it then stops them itself. Signals to this process wait until the block
    ends.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # child processes inherit it
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
