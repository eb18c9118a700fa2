"""A run on several machines: who makes the directory, and who waits for it."""

import os
import time
from pathlib import Path

from arclight.errors import UserError
from arclight.run_directory import RunDirectory


def this_node() -> int:
    """Which node of a run on several this is; 0 makes the directory and keeps its status."""
    return int(os.environ.get("ARCLIGHT_NODE", os.environ.get("SLURM_NODEID", "0")))


def keeps_records(run: RunDirectory) -> bool:
    """Whether this node does: the first of them, or the only one, whatever its number."""
    return this_node() == 0 or run.config["trainer"]["num_nodes"] == 1


def refuse_torchrun() -> None:
    """Raises `UserError` where torchrun has started `train.py`, each time a run of its own."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise UserError(
            "train.py starts the processes of a run itself, and torchrun would start each as a run "
            "of its own: type python train.py trainer=ddp (or trainer=fsdp) for all GPUs of a "
            "machine; scripts/slurm/many_nodes.sbatch shows how for several machines."
        )


def wait_for(path: Path, seconds: float = 600) -> RunDirectory:
    """The run directory that the first node makes and begins to execute, or finds to be over.

    Raises:
        UserError: it does not come.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        run = RunDirectory(path)
        # Not whether it is held: on some file systems a lock is seen on its own node only.
        if run.summary_file.is_file() and (run.is_over or run.status == "running"):
            return run
        time.sleep(0.5)
    raise UserError(
        f"{path} has not been begun by the first node after {seconds:.0f} s; "
        "is it on a file system that all nodes share?"
    )
