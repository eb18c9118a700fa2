"""The largest batch that fits is found by real steps, within the memory that may be used."""

import pytest

from arclight.errors import UserError
from arclight.run.batch_size import largest_batch
from tests.conftest import Composed


def test_it_is_the_largest_to_an_eighth(composed: Composed) -> None:
    said: list[str] = []
    config = composed("model=cnn", "data.limit=96")
    found = largest_batch(config, 0.01, said.append)
    assert f"data.batch_size={found}: fits" in said
    misfits = [line for line in said if "needs about" in line]
    assert misfits
    smallest = min(int(line.partition("=")[2].partition(":")[0]) for line in misfits)
    assert found < smallest <= found + max(1, found // 8)


@pytest.mark.slow
def test_it_is_no_larger_than_the_training_set(composed: Composed) -> None:
    found = largest_batch(composed("model=cnn", "data.limit=20"), 8.0, lambda _: None)
    assert 18 <= found <= 20


def test_where_nothing_fits_it_says_what_to_try(composed: Composed) -> None:
    with pytest.raises(UserError, match=r"Not even data\.batch_size=1 fits"):
        largest_batch(composed("model=cnn", "data.limit=20"), 0.001, lambda _: None)
