"""Check that the machine has the devices that the config requests."""

import os
from typing import Any

from arclight.config.checks.combinations import faults_of_processor
from arclight.config.suggest import did_you_mean
from arclight.errors import UserError

Trainer = dict[str, Any]
"""The config's `trainer`."""


OWN_STRATEGIES = ("auto", "ddp", "fsdp")
"""Strategies that are known without importing Lightning."""

_ON_CPUS = {name: f"{name}_cpu" for name in ("ddp", "fsdp")}
"""The corresponding options for processes on the CPU."""


def require_devices(trainer: Trainer, choice: str | None = None) -> None:
    """Checks that the machine has the trainer's accelerator and devices.

    Args:
        trainer: the config's `trainer`.
        choice: the chosen option of the config group; None: unknown.

    Raises:
        UserError: a device is missing, a setting does not work on it, or the strategy is unknown.
    """
    accelerator, devices = resolve_accelerator(trainer), trainer["devices"]
    for fault in faults_of_processor({**trainer, "accelerator": accelerator}):
        raise UserError(fault.message)
    _require_strategy(trainer["strategy"])
    if accelerator == "cpu":
        return
    import torch

    if accelerator == "gpu":
        there = torch.cuda.device_count()
        if not there:
            raise UserError(
                f"{_gpu_setting(choice)} needs a CUDA device but this machine has none; "
                f"type {_cpu_setting(choice)}."
            )
        if isinstance(devices, int) and devices > there:
            raise UserError(
                f"trainer.devices={devices} but this machine has {there}; "
                f"type trainer.devices={there}."
            )
        if isinstance(devices, list) and (missing := [d for d in devices if d >= there]):
            raise UserError(
                f"trainer.devices={devices} includes device {missing[0]}, but this machine has "
                f"{there}, numbered from 0; type trainer.devices=[{there - 1}]."
            )
    if accelerator == "mps" and not torch.backends.mps.is_available():
        raise UserError(
            "trainer=mps needs an Apple GPU but this machine has none; type trainer=cpu."
        )


def _gpu_setting(choice: str | None) -> str:
    """The setting that requests a GPU: the option, or the key if a CPU option was changed."""
    changed = choice in ("cpu", *_ON_CPUS.values())
    return "trainer.accelerator=gpu" if changed else f"trainer={choice or 'gpu'}"


def _cpu_setting(choice: str | None) -> str:
    changed = choice in ("cpu", *_ON_CPUS.values())
    return "trainer.accelerator=cpu" if changed else f"trainer={_ON_CPUS.get(choice or '', 'cpu')}"


def _require_strategy(strategy: Any) -> None:
    """Raises `UserError` for an unknown strategy; imports Lightning only for its strategies."""
    if not isinstance(strategy, str) or strategy in OWN_STRATEGIES:
        return
    from lightning.pytorch.strategies import StrategyRegistry

    known = StrategyRegistry.available_strategies()
    if strategy not in known:
        hint = did_you_mean(strategy, [*OWN_STRATEGIES, *known], "trainer.strategy=")
        raise UserError(f"trainer.strategy={strategy} is not the name of a strategy{hint}")


def resolve_accelerator(trainer: Trainer) -> str:
    """Returns cpu, gpu or mps; `auto` is resolved for this machine."""
    wanted = str(trainer["accelerator"])
    if wanted != "auto":
        return wanted.replace("cuda", "gpu")
    import torch

    if torch.cuda.is_available():
        return "gpu"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def accelerator_here(trainer: Trainer) -> str:
    """Returns the accelerator to use for a trained run: the one it was trained on, if available.

    Returns:
        cpu, gpu or mps; cpu if the other is not available.
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
    """Like `accelerator_here`, in torch's names: cpu, cuda or mps."""
    return accelerator_here(trainer).replace("gpu", "cuda")


def cores() -> int:
    """Returns the number of CPU cores that this process may use; a scheduler may limit it."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def process_count(trainer: Trainer) -> int:
    """Returns the number of processes on this machine: one for each device."""
    devices = trainer["devices"]
    if isinstance(devices, list):
        return len(devices)
    if devices not in ("auto", -1):
        return int(devices)
    import torch

    return torch.cuda.device_count() if resolve_accelerator(trainer) == "gpu" else 1
