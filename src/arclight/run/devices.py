"""Whether the machine has what the config asks for."""

import os
from typing import Any

from arclight.errors import UserError


def require_devices(trainer: dict[str, Any]) -> None:
    """Raises `UserError` where the trainer's accelerator or the number of devices is not there."""
    import torch

    accelerator, devices = trainer["accelerator"], trainer["devices"]
    if accelerator == "gpu":
        there = torch.cuda.device_count()
        if not there:
            raise UserError(
                "trainer=gpu needs a CUDA device and this machine shows none; type trainer=cpu."
            )
        if devices != "auto" and devices > there:
            raise UserError(
                f"trainer.devices={devices} but this machine shows {there}; "
                f"type trainer.devices={there}."
            )
    if accelerator == "mps" and not torch.backends.mps.is_available():
        raise UserError(
            "trainer=mps needs an Apple GPU and this machine has none; type trainer=cpu."
        )


def accelerator_here(trainer: dict[str, Any]) -> str:
    """What a trained run computes with: what it was trained on, or the CPU where that is not here.

    Returns:
        cpu, gpu or mps.
    """
    import torch

    there = {
        "cpu": True,
        "gpu": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    wanted = str(trainer["accelerator"])
    return wanted if there[wanted] else "cpu"


def device_here(trainer: dict[str, Any]) -> str:
    """The same as torch calls it: cpu, cuda or mps."""
    return accelerator_here(trainer).replace("gpu", "cuda")


def cores() -> int:
    """The processor's cores that this process may use: a scheduler gives it some of a machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def process_count(trainer: dict[str, Any]) -> int:
    """How many processes this machine runs for the config: one for each device."""
    devices = trainer["devices"]
    if devices != "auto":
        return int(devices)
    import torch

    return torch.cuda.device_count() if trainer["accelerator"] == "gpu" else 1
