"""Whether the machine has what the config asks for."""

import os
from typing import Any

from arclight.config.combinations import faults_of_processor
from arclight.config.suggest import did_you_mean
from arclight.errors import UserError

Trainer = dict[str, Any]
"""The config's `trainer`."""


OWN_STRATEGIES = ("auto", "ddp", "fsdp")
"""Names that need no look at Lightning's."""

_ON_CPUS = {name: f"{name}_cpu" for name in ("ddp", "fsdp")}
"""Options that say the same of processes on the CPU."""


def require_devices(trainer: Trainer, choice: str | None = None) -> None:
    """Raises `UserError` where the trainer's accelerator or the number of devices is not there.

    Args:
        choice: the option of the config group that was chosen; None: it is not known.
    """
    accelerator, devices = resolve_accelerator(trainer), trainer["devices"]
    for fault in faults_of_processor({**trainer, "accelerator": accelerator}):
        raise UserError(fault.said)
    _require_strategy(trainer["strategy"])
    if accelerator == "cpu":
        return
    import torch

    if accelerator == "gpu":
        there = torch.cuda.device_count()
        if not there:
            raise UserError(
                f"{_asked(choice)} needs a CUDA device and this machine shows none; "
                f"type {_on_the_cpu(choice)}."
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


def _asked(choice: str | None) -> str:
    """What asks for a GPU: the option, or the key where an option of the CPU was changed."""
    changed = choice in ("cpu", *_ON_CPUS.values())
    return "trainer.accelerator=gpu" if changed else f"trainer={choice or 'gpu'}"


def _on_the_cpu(choice: str | None) -> str:
    changed = choice in ("cpu", *_ON_CPUS.values())
    return "trainer.accelerator=cpu" if changed else f"trainer={_ON_CPUS.get(choice or '', 'cpu')}"


def _require_strategy(strategy: Any) -> None:
    """Raises `UserError` where it is the name of none; Lightning is asked of names not our own."""
    if not isinstance(strategy, str) or strategy in OWN_STRATEGIES:
        return
    from lightning.pytorch.strategies import StrategyRegistry

    known = StrategyRegistry.available_strategies()
    if strategy not in known:
        hint = did_you_mean(strategy, [*OWN_STRATEGIES, *known], "trainer.strategy=")
        raise UserError(f"trainer.strategy={strategy} is not the name of a strategy{hint}")


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
