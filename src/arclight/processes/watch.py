"""A process of a run must not outlive the one that watches it, nor overhear its signal."""

import math
import os
import select
import signal
import socket
import time
from threading import Thread

from arclight.signals import SIGNALS, exit_at_once, noticed

WATCHER = "ARCLIGHT_WATCHER"  # in the environment of a run's processes: the launcher's number
LOOK_EVERY = 0.2  # seconds
DEAF = 3.0  # seconds after which a signal that Python has not seen is taken to be lost on it
_watcher: int | None = None  # the launcher of this process, where it has one


def die_with_watcher() -> None:
    """Kills this process soon after its launcher has died, which may have had no time to tell.

    Left alone it would train on, beside those that continue the run. Killed, not ended: what it
    writes is whole or not there, and its next collective would wait for nobody.

    The same when a signal that should end it at once does not get through. Python sees to signals
    between its own instructions: one that waits in native code for a process that has left before
    the two were connected, would wait for half an hour.
    """
    global _watcher
    _watcher = int(os.environ[WATCHER])
    bell, wire = socket.socketpair()  # the operating system rings, whatever Python is doing
    wire.setblocking(False)
    signal.set_wakeup_fd(wire.fileno(), warn_on_full_buffer=False)

    def watch() -> None:
        leave_by = math.inf
        with bell, wire:
            while not _left_alone() and time.monotonic() < leave_by:
                if select.select([bell], [], [], LOOK_EVERY)[0] and _ends_it(bell.recv(64)):
                    leave_by = min(leave_by, time.monotonic() + DEAF)
                if noticed():
                    leave_by = math.inf
        _die()

    Thread(target=watch, name="watcher", daemon=True).start()


def die_if_left_alone() -> None:
    """Kills this process at once if its launcher has died, before its watcher has noticed.

    That another process of the run has gone already is no failure of this one.
    """
    if _left_alone():
        _die()


def _left_alone() -> bool:
    return _watcher is not None and os.getppid() != _watcher


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _ends_it(numbers: bytes) -> bool:
    """Whether one of these signals ends a process in which there is nothing to save yet."""
    return any(n in SIGNALS and signal.getsignal(n) is exit_at_once for n in numbers)
