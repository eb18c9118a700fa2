"""Schedules are pure functions of the step."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import LRScheduler

from arclight.errors import UserError
from arclight.training.schedules import constant, cosine, linear, steps_of


def rates(make, total: int, **options: object) -> list[float]:  # type: ignore[no-untyped-def]
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule: LRScheduler = make(optimizer, total, 10, **options)
    found = []
    for _ in range(total + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize(
    ("length", "steps"), [(0.1, 10), ("7 steps", 7), ("1 step", 1), ("2 epochs", 20), (0, 0)]
)
def test_a_length_may_be_a_share_steps_or_epochs(length: float | str, steps: int) -> None:
    assert steps_of(length, total_steps=100, steps_per_epoch=10) == steps


@pytest.mark.parametrize("length", [5, -0.1, "five", "3 weeks"])
def test_an_invalid_length_is_a_user_error(length: float | str) -> None:
    with pytest.raises(UserError, match=r"scheduler\.warmup="):
        steps_of(length, 100, 10)


def test_cosine_warms_up_to_the_peak_and_ends_at_the_minimum() -> None:
    found = rates(cosine, 100, warmup="10 steps", min_lr_ratio=0.1)
    assert found[0] == pytest.approx(2 / 11)
    assert found[10] == pytest.approx(2.0)
    assert found[55] == pytest.approx(2 * 0.55)
    assert found[100] == pytest.approx(0.2)
    assert all(a > b for a, b in pairwise(found[10:]))


def test_linear_and_constant() -> None:
    assert rates(linear, 100, warmup=0)[50] == pytest.approx(1.0)
    assert rates(constant, 100, warmup=0) == [2.0] * 101
