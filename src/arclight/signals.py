"""The signals that end a run, and what they do where there is nothing to save."""

import signal
import sys
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
AGAIN = 0.5  # seconds


def exit_at_once(signum: int, frame: FrameType | None) -> None:
    """Ends the process with the shell's code for the signal, running every `finally`.

    Python drops an exception that is raised within the callback of a weak reference or a
    finaliser, of which an import makes thousands. So it is raised again until it gets through.
    """

    def again(_: int, frame: FrameType | None) -> None:
        if not isinstance(sys.exception(), SystemExit):  # else it is on its way out
            raise SystemExit(128 + signum)

    signal.signal(signal.SIGALRM, again)
    signal.setitimer(signal.ITIMER_REAL, AGAIN, AGAIN)
    raise SystemExit(128 + signum)


def exit_on_signals() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in SIGNALS:
        signal.signal(number, exit_at_once)


def ignore_signals() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
