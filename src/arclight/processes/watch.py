"""End a process of a run when its launcher has died, or when it does not react to a signal."""

import math
import os
import select
import signal
import socket
import time
from threading import Thread

from arclight.signals import SIGNALS, exit_at_once, is_exiting

WATCHER = "ARCLIGHT_WATCHER"  # environment variable with the launcher's process number
CHECK_EVERY = 0.2  # seconds
GRACE = 3.0  # seconds that Python has to react to a signal before the process is killed
_watcher: int | None = None  # the process number of the launcher, if there is one


def die_with_watcher() -> None:
    """Starts a thread that kills this process soon after its launcher has died.

    The launcher may die without stopping its processes; they would then train on, beside those that
    continue the run. The process is killed, since a normal exit could hang in a collective that the
    others never join. Files are written atomically, so none is left incomplete.

    The thread also kills the process if a signal that should end it has no effect. Python handles
    signals between its own instructions: a process that waits in native code for another that has
    already gone would wait for half an hour.
    """
    global _watcher
    _watcher = int(os.environ[WATCHER])
    bell, wire = socket.socketpair()  # signals are written to it even while Python is blocked
    wire.setblocking(False)
    signal.set_wakeup_fd(wire.fileno(), warn_on_full_buffer=False)

    def watch() -> None:
        leave_by = math.inf
        with bell, wire:
            while not _is_orphaned() and time.monotonic() < leave_by:
                if select.select([bell], [], [], CHECK_EVERY)[0] and _ends_it(bell.recv(64)):
                    leave_by = min(leave_by, time.monotonic() + GRACE)
                if is_exiting():
                    leave_by = math.inf
        _die()

    Thread(target=watch, name="watcher", daemon=True).start()


def die_if_orphaned() -> None:
    """Kills this process if its launcher has died, before the watcher thread notices.

    Otherwise, this process could report the loss of another process as its own failure.
    """
    if _is_orphaned():
        _die()


def _is_orphaned() -> bool:
    return _watcher is not None and os.getppid() != _watcher


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _ends_it(numbers: bytes) -> bool:
    """Whether one of these signals should end a process that has nothing to save yet."""
    return any(n in SIGNALS and signal.getsignal(n) is exit_at_once for n in numbers)
