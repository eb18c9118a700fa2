"""The name of a metric says whether lower or higher values are better."""

import pytest

from arclight.metric_names import better_direction


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        *(("val_loss", "min"), ("val/dice_loss", "min"), ("test/rmse", "min")),
        *(("test/bits_per_byte", "min"), ("error_rate", "min"), ("val/accuracy", "max")),
        *(("val_acc", "max"), ("test/f1", "max"), ("val/energy", None), ("lossless", None)),
    ],
)
def test_the_last_known_word_decides(name: str, direction: str | None) -> None:
    assert better_direction(name) == direction
