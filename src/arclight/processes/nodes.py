"""Runs on several machines: the first node creates the directory, the others wait for it."""

import os
import time
from pathlib import Path

from arclight.errors import UserError
from arclight.run_directory import RunDirectory


def this_node() -> int:
    """Returns the number of this node; node 0 creates the directory and writes its status."""
    return int(os.environ.get("ARCLIGHT_NODE", os.environ.get("SLURM_NODEID", "0")))


def keeps_records(run: RunDirectory) -> bool:
    """Whether this node writes the run's status: the first node, or the only one."""
    return this_node() == 0 or run.config["trainer"]["num_nodes"] == 1


def refuse_torchrun() -> None:
    """Raises `UserError` if torchrun started `train.py`: each process would be a separate run."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise UserError(
            "train.py starts the processes of a run itself; under torchrun each process would be a "
            "separate run: type python train.py trainer=ddp (or trainer=fsdp) for all GPUs of a "
            "machine. For several machines, see scripts/slurm/many_nodes.sbatch."
        )


def wait_for(path: Path, seconds: float = 600, again: bool = False) -> RunDirectory:
    """Waits until the first node has created the run directory and started or finished the run.

    Args:
        path: of the directory.
        seconds: to wait.
        again: whether the first node executes it again, even if it has ended.

    Raises:
        UserError: this has not happened after `seconds`.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        run = RunDirectory(path)
        # The lock is not checked: on some file systems only its own node sees it.
        started = run.summary_file.is_file()
        if started and (run.status == "running" or (run.is_over and not again)):
            return run
        time.sleep(0.5)
    raise UserError(
        f"The first node has not started {path} after {seconds:.0f} s; "
        "is it on a file system that all nodes share?"
    )
