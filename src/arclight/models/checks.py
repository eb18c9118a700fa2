"""Checks of model arguments, with errors that say what to type, and of a model's modules."""

from torch import nn

from arclight.errors import UserError
from arclight.libraries.pytorch import has_values

__all__ = [
    "check_choice",
    "check_probability",
    "has_batch_norm",
    "has_values",
    "nearest_divisor",
]

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def check_probability(name: str, value: float) -> None:
    """Raises `UserError` unless `0 <= value < 1`."""
    if not 0.0 <= value < 1.0:
        raise UserError(
            f"model.{name}={value} should be a probability of at least 0 and below 1: "
            f"type model.{name}=0.1, for example."
        )


def check_choice(name: str, value: str, *choices: str) -> None:
    """Raises `UserError` unless `value` is one of `choices`."""
    if value not in choices:
        raise UserError(
            f"model.{name}={value} is unknown: type "
            + " or ".join(f"model.{name}={choice}" for choice in choices)
            + "."
        )


def has_batch_norm(model: nn.Module) -> bool:
    """Whether the model has a batch norm."""
    return any(isinstance(module, BATCH_NORMS) for module in model.modules())


def nearest_divisor(of: int, to: int) -> int:
    """Returns the divisor of `of` that is nearest to `to`, to suggest instead of a wrong value."""
    divisors = [n for n in range(1, of + 1) if of % n == 0]
    return min(divisors, key=lambda n: abs(n - to), default=1)
