"""The signals that end a run, and what they do where there is nothing to save."""

import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def exit_at_once(signum: int, frame: FrameType | None) -> None:
    """Ends the process with the shell's code for the signal, running every `finally`."""
    raise SystemExit(128 + signum)


def exit_on_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, exit_at_once)


def ignore_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
