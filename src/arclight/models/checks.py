"""What a model's constructor says of a size that cannot be: one sentence, with what to type."""

from arclight.errors import UserError

__all__ = ["check_choice", "check_probability", "nearest_divisor"]


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


def nearest_divisor(of: int, to: int) -> int:
    """The divisor of `of` that is nearest to `to`: what to type instead of one that is none."""
    divisors = [n for n in range(1, of + 1) if of % n == 0]
    return min(divisors, key=lambda n: abs(n - to), default=1)
