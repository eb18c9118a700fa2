"""Trains another run from within a run, such as the teacher of a student."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from arclight.config.project import PROJECT
from arclight.console import say
from arclight.errors import UserError
from arclight.files import lock, open_lock
from arclight.run_directory import RunDirectory

if TYPE_CHECKING:
    from arclight.use.load import LoadedRun

# Environment variables that describe a distributed run to its processes.
DISTRIBUTED = ("RANK", "LOCAL_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR")


def train(path: str | Path, *words: str) -> "LoadedRun":
    """Trains a separate run in another process: `python train.py WORDS run_dir=PATH`.

    An existing run is continued to its end; a finished one is only loaded. Other processes that
    call this for the same run wait for it.

    Args:
        path: the run directory.
        words: overrides, such as `model=cnn`.

    Raises:
        UserError: the run failed.
    """
    from arclight.use.load import load

    place = Path(path).expanduser()
    place.parent.mkdir(parents=True, exist_ok=True)
    with open_lock(place.parent / f".{place.name}.lock") as held:
        lock(held, fcntl.LOCK_EX)
        if not _has_finished(place):
            command = [sys.executable, str(PROJECT / "train.py"), *words, f"run_dir={place}"]
            say(f"Training another run first: train.py {' '.join(command[2:])}")
            # The child inherits the lock: if this process is killed, the next call waits for the
            # child.
            code = subprocess.call(command, env=_environment(), pass_fds=[held.fileno()])
            if code >= 128:
                raise SystemExit(code)  # both processes got a signal
            if code:
                raise UserError(f"{place} could not be trained; see the error above.")
    return load(place)


def _has_finished(place: Path) -> bool:
    run = RunDirectory(place)
    return run.summary_file.is_file() and run.status == "finished"


def _environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name not in DISTRIBUTED and not name.startswith(("TORCHELASTIC_", "ARCLIGHT_WATCHER"))
    }
