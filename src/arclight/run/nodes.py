"""A run on several machines: who makes the directory, and who waits for it."""

import os
import time
from pathlib import Path

from arclight.errors import UserError
from arclight.run.directory import RunDirectory


def this_node() -> int:
    """Which node of a run on several this is; 0 makes the directory and keeps its status."""
    return int(os.environ.get("ARCLIGHT_NODE", os.environ.get("SLURM_NODEID", "0")))


def wait_for(path: Path, seconds: float = 600) -> RunDirectory:
    """The run directory that the first node makes and begins to execute, or finds to be over.

    Raises:
        UserError: it does not come.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        run = RunDirectory(path)
        if run.summary_file.is_file() and (run.is_over or run.is_held):
            return run
        time.sleep(0.5)
    raise UserError(
        f"{path} has not been begun by the first node after {seconds:.0f} s; "
        "is it on a file system that all nodes share?"
    )
