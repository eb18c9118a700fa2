"""A process of a run must not outlive the one that watches it and holds its directory."""

import os
import signal
import time
from threading import Thread

WATCHER = "ARCLIGHT_WATCHER"  # in the environment of a run's processes: the launcher's number
LOOK_EVERY = 0.2  # seconds


def die_with_watcher() -> None:
    """Kills this process soon after its launcher has died, which may have had no time to tell.

    Left alone it would train on, beside those that continue the run. Killed, not ended: what it
    writes is whole or not there, and its next collective would wait for nobody.
    """
    watcher = int(os.environ[WATCHER])

    def watch() -> None:
        while os.getppid() == watcher:
            time.sleep(LOOK_EVERY)
        os.kill(os.getpid(), signal.SIGKILL)

    Thread(target=watch, name="watcher", daemon=True).start()
