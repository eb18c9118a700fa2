"""The manifest of a run: command, code, packages and hardware, enough to repeat the run."""

import hashlib
import os
import platform
import shlex
import subprocess
import sys
import time
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from arclight.config.project import PROJECT
from arclight.masking import masked_overrides
from arclight.provenance.code import digests
from arclight.provenance.packages import libraries_of, owned_folders
from arclight.provenance.repository import state


def describe(config: dict[str, Any]) -> dict[str, Any]:
    """Returns the manifest of a run that starts now; the run adds what needs torch or the data."""
    agent = os.environ if "WANDB_SWEEP_ID" in os.environ else {}
    named = {"run_id": agent["WANDB_RUN_ID"]} if "WANDB_RUN_ID" in agent else {}
    return {
        **named,  # the name of the run in a W&B sweep; otherwise, the run gets its own
        "command": shlex.join([Path(sys.executable).name, *masked_overrides(sys.argv)]),
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "folder": os.getcwd(),
        "seed": config["seed"],
        "git": git_state(),
        "code": digests(),
        "lock_sha256": lock_hash(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages(),
        "libraries": libraries_of(config, packages()),
    }


def git_state() -> dict[str, Any]:
    """Returns git's state of this project: commit, branch, and the patch of later changes."""
    return state(PROJECT, tuple(owned_folders()))


@cache
def lock_hash() -> str | None:
    lock = PROJECT / "requirements.lock"
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else None


@cache
def packages() -> dict[str, str]:
    """Returns the name and version of every installed package."""
    known = (d.metadata for d in distributions())  # parsed once; `d.name` would parse it each time
    return dict(sorted((m["Name"], m["Version"]) for m in known if m["Name"]))


def hardware() -> dict[str, Any]:
    """Returns the hardware that the run computes on, as torch sees it."""
    import torch

    found: dict[str, Any] = {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }
    if found["gpus"]:
        found["cuda"] = torch.version.cuda
        found["driver"] = _output(
            "nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"
        )
    return found


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip("\n")
