"""The workers of a search or paper, and the GPUs of each."""

import os
import subprocess
from typing import Any

from arclight.errors import UserError


def slots_of(
    workers: int | None, each: float, config: dict[str, Any], group: str
) -> list[dict[str, str]]:
    """Environment variables for each worker: the GPUs that it may use.

    Args:
        workers: number of parallel trials; None: one for each GPU, or one.
        each: GPUs of a trial, or a share of one.
        config: of a trial.
        group: the config group of these settings, for the error message.

    Raises:
        UserError: there are not enough GPUs.
    """
    if config["trainer"]["accelerator"] != "gpu":
        return [{} for _ in range(workers or 1)]
    gpus = _gpus()
    width = max(1, int(each))
    sharing = max(1, int(1 / each))  # trials on one GPU
    most = len(gpus) // width * sharing
    if most < (workers or 1):
        raise UserError(
            f"{group}.workers={workers or 1} with {group}.gpus_per_trial={each:g} need "
            f"more GPUs than the {len(gpus)} here; type {group}.workers={most}, "
            "or trainer=cpu."
        )
    starts = [i // sharing * width for i in range(workers or most)]
    return [{"CUDA_VISIBLE_DEVICES": ",".join(gpus[s : s + width])} for s in starts]


def _gpus() -> list[str]:
    """The GPUs of this process, without initialising CUDA, because it will be forked."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [gpu for gpu in chosen.split(",") if gpu]
    try:
        command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return []
