"""Train a run from within another, such as the teacher that a student learns from."""

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

# What tells a process that it is one of several of a run.
OF_THE_RUN = ("RANK", "LOCAL_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR")


def train(path: str | Path, *words: str) -> "LoadedRun":
    """Trains a run of its own: `python train.py WORDS run_dir=PATH`, in another process.

    A run that is there already is continued to its end; one that has finished is only loaded. Who
    else wants the same run meanwhile waits for it.

    Args:
        path: the run directory.
        words: of the command line, such as `model=cnn`.

    Raises:
        UserError: it could not be trained.
    """
    from arclight.use.load import load

    place = Path(path).expanduser()
    place.parent.mkdir(parents=True, exist_ok=True)
    with open_lock(place.parent / f".{place.name}.lock") as held:
        lock(held, fcntl.LOCK_EX)
        if not _has_finished(place):
            command = [sys.executable, str(PROJECT / "train.py"), *words, f"run_dir={place}"]
            say(f"A run of its own first: train.py {' '.join(command[2:])}")
            # The lock goes along: should this process be killed, the next one waits for that one.
            code = subprocess.call(command, env=_environment(), pass_fds=[held.fileno()])
            if code >= 128:
                raise SystemExit(code)  # a signal, which both of them got
            if code:
                raise UserError(f"{place} could not be trained; what was wrong is said above.")
    return load(place)


def _has_finished(place: Path) -> bool:
    run = RunDirectory(place)
    return run.summary_file.is_file() and run.status == "finished"


def _environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name not in OF_THE_RUN and not name.startswith(("TORCHELASTIC_", "ARCLIGHT_WATCHER"))
    }
