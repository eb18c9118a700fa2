"""Whether the machine has what the config asks for."""

import os
from typing import Any

from arclight.errors import UserError

Trainer = dict[str, Any]
"""The config's `trainer`."""


_ON_CPUS = {name: f"{name}_cpu" for name in ("ddp", "fsdp")}
"""Options that say the same of processes on the CPU."""


def require_devices(trainer: Trainer, choice: str | None = None) -> None:
    """Raises `UserError` where the trainer's accelerator or the number of devices is not there.

    Args:
        choice: the option of the config group that was chosen; None: it is not known.
    """
    accelerator, devices = resolve_accelerator(trainer), trainer["devices"]
    if accelerator == "cpu":
        return
    import torch

    if accelerator == "gpu":
        there = torch.cuda.device_count()
        if not there:
            raise UserError(
                f"trainer={choice or 'gpu'} needs a CUDA device and this machine shows none; "
                f"type trainer={_ON_CPUS.get(choice or '', 'cpu')}."
            )
        if isinstance(devices, int) and devices > there:
            raise UserError(
                f"trainer.devices={devices} but this machine shows {there}; "
                f"type trainer.devices={there}."
            )
        if isinstance(devices, list) and (missing := [d for d in devices if d >= there]):
            raise UserError(
                f"trainer.devices={devices} names device {missing[0]}, and this machine shows "
                f"{there}, numbered from 0; type trainer.devices=[{there - 1}]."
            )
    if accelerator == "mps" and not torch.backends.mps.is_available():
        raise UserError(
            "trainer=mps needs an Apple GPU and this machine has none; type trainer=cpu."
        )


def resolve_accelerator(trainer: Trainer) -> str:
    """cpu, gpu or mps; what `auto` means here."""
    wanted = str(trainer["accelerator"])
    if wanted != "auto":
        return wanted.replace("cuda", "gpu")
    import torch

    if torch.cuda.is_available():
        return "gpu"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def accelerator_here(trainer: Trainer) -> str:
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
    wanted = resolve_accelerator(trainer)
    return wanted if there[wanted] else "cpu"


def device_here(trainer: Trainer) -> str:
    """The same as torch calls it: cpu, cuda or mps."""
    return accelerator_here(trainer).replace("gpu", "cuda")


def cores() -> int:
    """The processor's cores that this process may use: a scheduler gives it some of a machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def process_count(trainer: Trainer) -> int:
    """How many processes this machine runs for the config: one for each device."""
    devices = trainer["devices"]
    if isinstance(devices, list):
        return len(devices)
    if devices not in ("auto", -1):
        return int(devices)
    import torch

    return torch.cuda.device_count() if resolve_accelerator(trainer) == "gpu" else 1
