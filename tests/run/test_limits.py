"""A share of few batches is one batch."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from arclight.errors import UserError
from arclight.run.assembly import build_data
from arclight.run.limits import at_least_one, at_least_one_of
from tests.conftest import Composed


def test_a_small_share_is_one_batch(composed: Composed, tmp_path: Path) -> None:
    config = composed("debug=limit")  # of the digits: 20 batches, and 3 in validation
    data = build_data(config, tmp_path)
    settings = at_least_one(config["trainer"], data)
    shares = {stage: settings[f"limit_{stage}_batches"] for stage in ("train", "val", "test")}
    assert shares == {"train": 0.1, "val": 1, "test": 1}
    assert at_least_one(settings, data) == settings


@pytest.mark.parametrize(
    ("share", "lengths", "limit"),
    [(0.1, (20, 30), 0.1), (0.1, (20, 3), 1), (0.1, (0,), 0.1), (1.0, (3,), 1.0), (2, (3,), 2)],
)
def test_a_small_share_of_plain_data_is_one_batch(
    share: float, lengths: tuple[int, ...], limit: float
) -> None:
    trainer: Any = SimpleNamespace(limit_val_batches=share)
    at_least_one_of(trainer, "val", [range(length) for length in lengths])
    assert (trainer.limit_val_batches, type(trainer.limit_val_batches)) == (limit, type(limit))


def test_a_share_of_a_stream_is_a_user_error() -> None:
    trainer: Any = SimpleNamespace(limit_train_batches=0.5)
    with pytest.raises(
        UserError,
        match=r"batches: type a number, such as trainer\.limit_train_b",
    ):
        at_least_one_of(trainer, "train", [iter(())])
