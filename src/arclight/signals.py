"""The signals that end a run, and what they do where there is nothing to save."""

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
if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as `nohup` leaves it
    SIGNALS += (signal.SIGHUP,)  # its terminal or connection has gone
AGAIN = 0.5  # seconds
IMPATIENT = 1.0  # seconds after which a second signal is not part of the first
_on_the_way_out = 0  # the signal that is ending the process
_since = 0.0
_heard_at = 0.0
_computing = False
_ears: list[int] = []  # where signals are told to the thread that listens, once it does
_last_words: list[Callable[[], object]] = []


def exit_at_once(signum: int, frame: FrameType | None) -> None:
    """Ends the process with the shell's code for the signal, running every `finally`.

    Python drops an exception that is raised within the callback of a weak reference or a
    finaliser, of which an import makes thousands. So it is raised again until it gets through.
    """

    global _on_the_way_out, _since
    heard()
    if _on_the_way_out and time.monotonic() - _since > IMPATIENT:
        end_by_force(signum)  # what waits for a thread or a disk would never get there
    if not _on_the_way_out:
        _since = time.monotonic()
    _on_the_way_out = signum

    def again(_: int, frame: FrameType | None) -> None:
        if not isinstance(sys.exception(), SystemExit):  # else it is on its way out
            raise SystemExit(128 + signum)

    signal.signal(signal.SIGALRM, again)
    signal.setitimer(signal.ITIMER_REAL, AGAIN, AGAIN)
    raise SystemExit(128 + signum)


@contextmanager
def last_words(say: Callable[[], object]) -> Iterator[None]:
    """Meanwhile `say` is called before the process is ended by force."""
    _last_words.append(say)
    try:
        yield
    finally:
        _last_words.remove(say)


def end_by_force(signum: int) -> NoReturn:
    """Ends the process now: for what would wait on, as threads do that read from a stalled disk."""
    for say in reversed(_last_words):
        with suppress(Exception):
            say()
    for child in multiprocessing.active_children():
        child.kill()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(128 + signum)


def noticed() -> bool:
    """Whether Python has come to see to a signal that ends the process."""
    return bool(_on_the_way_out)


def take_over() -> int:
    """The signal that was to end the process and has not got through yet, or 0; now it will not.

    Who calls this sees to the end, since there is something to save from now on.
    """
    global _on_the_way_out
    signal.setitimer(signal.ITIMER_REAL, 0)
    signum, _on_the_way_out = _on_the_way_out, 0
    return signum


def heard() -> None:
    """Every handler calls this first: Python has come to see to a signal."""
    global _heard_at
    _heard_at = time.monotonic()


def in_a_step(computing: bool) -> None:
    """While it computes or saves, only a handler ends the process, however long it has to wait."""
    global _computing
    _computing = computing


def _listen() -> None:
    """Ends the process at a second signal, where Python has not come to see to the first.

    Handlers run between two instructions of Python. Where a library waits for a stalled disk or a
    network in C, that is never, so another thread listens as well.
    """
    if _ears:
        return
    ear, mouth = os.pipe()
    os.set_blocking(mouth, False)
    _ears.append(mouth)
    signal.set_wakeup_fd(mouth, warn_on_full_buffer=False)
    threading.Thread(target=_end_the_deaf, args=(ear,), name="signals", daemon=True).start()


def _end_the_deaf(ear: int) -> None:
    first = -math.inf
    while told := os.read(ear, 1):
        if told[0] not in SIGNALS:
            continue
        now = time.monotonic()
        if _heard_at >= first:  # the one before has been seen to
            first = now
        elif now - first > IMPATIENT and not _computing:
            end_by_force(told[0])


def _in_a_child() -> None:
    """What a forked process hears is not meant for this one."""
    if _ears:
        signal.set_wakeup_fd(-1)
        os.close(_ears.pop())


os.register_at_fork(after_in_child=_in_a_child)


def exit_on_signals() -> None:
    """From now on, and for those that were held."""
    take_over()
    _listen()
    for number in SIGNALS:
        signal.signal(number, exit_at_once)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def hold_signals() -> None:
    """Keeps them waiting until `exit_on_signals`, so that what is begun comes under its care."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def ignore_signals() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def block_signals_in_children() -> Iterator[None]:
    """Processes that are started meanwhile never hear of what ends a run.

    A scheduler signals every process of a job. The run needs those that serve it until it has
    saved; it then tells them to end, or kills them. This one hears a signal when that is over.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # which they inherit
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
