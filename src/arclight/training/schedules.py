"""Learning-rate schedules: pure functions of the step, so a resumed run follows the same curve."""

import math
import re
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from arclight.errors import UserError
from arclight.ranges import Length, Share


def steps_of(length: float | str, total_steps: int, steps_per_epoch: int) -> int:
    """Converts a length to optimizer steps: a share of the run (0.1), `"500 steps"`, `"5 epochs"`.

    Raises:
        UserError: the length has another form.
    """
    if isinstance(length, str):
        match = re.fullmatch(r"\s*([\d.]+)\s*(steps?|epochs?)\s*", length)
        if not match:
            raise UserError(
                f"scheduler.warmup={length} is not a length; "
                'type a share of the run (0.1), "500 steps" or "5 epochs".'
            )
        number = float(match[1])
        return round(number * steps_per_epoch if match[2].startswith("epoch") else number)
    if not 0 <= length <= 1:
        raise UserError(
            f"scheduler.warmup={length} is not a share of the run between 0 and 1; "
            f'for steps type scheduler.warmup="{length:g} steps".'
        )
    return round(length * total_steps)


def cosine(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    warmup: Share | Length = 0.1,
    min_lr_ratio: Share = 0.0,
) -> LRScheduler:
    """Warm-up, then cosine decay to `min_lr_ratio` of the peak (Loshchilov & Hutter, 2017)."""
    return _scheduled(
        optimizer,
        steps_of(warmup, total_steps, steps_per_epoch),
        total_steps,
        lambda t: min_lr_ratio + (1 - min_lr_ratio) * 0.5 * (1 + math.cos(math.pi * t)),
    )


def linear(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    warmup: Share | Length = 0.1,
    min_lr_ratio: Share = 0.0,
) -> LRScheduler:
    """Warm-up, then linear decay to `min_lr_ratio` of the peak."""
    warm = steps_of(warmup, total_steps, steps_per_epoch)
    return _scheduled(optimizer, warm, total_steps, lambda t: 1 - (1 - min_lr_ratio) * t)


def constant(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    warmup: Share | Length = 0.0,
) -> LRScheduler:
    """Warm-up, then a constant learning rate."""
    warm = steps_of(warmup, total_steps, steps_per_epoch)
    return _scheduled(optimizer, warm, total_steps, lambda t: 1.0)


def _scheduled(
    optimizer: Optimizer, warmup: int, total_steps: int, after: Callable[[float], float]
) -> LRScheduler:
    """Linear warm-up over `warmup` steps, then `after(t)`, where t grows from 0 to 1."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return after(min(1.0, (step - warmup) / max(1, total_steps - warmup)))

    return LambdaLR(optimizer, factor)
