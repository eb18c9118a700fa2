"""The order of the data is a pure function, and every sample is used exactly once."""

import itertools
import re

import pytest
import torch

from arclight.data.order import (
    ROW,
    SIDE,
    EvalBatches,
    TrainBatches,
    epoch_order,
    random_rows,
    random_table,
)
from arclight.errors import UserError
from arclight.seeds import mix


def test_epoch_order_depends_only_on_seed_and_epoch() -> None:
    order = epoch_order(seed=3, epoch=5, n=100)
    assert order.dtype == torch.long
    assert sorted(order.tolist()) == list(range(100))
    assert torch.equal(order, epoch_order(3, 5, 100))
    others = {tuple(epoch_order(s, e, 100).tolist()) for s in range(5) for e in range(5)}
    assert len(others) == 25


def test_keys_do_not_collide() -> None:
    pairs = list(itertools.product(range(50), repeat=2))
    assert len({mix("order", *p) for p in pairs} | {mix("sample", *p) for p in pairs}) == 5000
    assert mix("order", 1, 23) != mix("order", 12, 3)


def test_rows_of_the_random_table_can_be_computed_alone() -> None:
    table = random_table(seed=1, epoch=2, n=20)
    assert table.shape == (20, ROW)
    assert table.dtype == torch.float32
    assert 0 <= table.min() < 0.05 < 0.95 < table.max() < 1
    for i in (0, 1, 7, 19):
        assert torch.equal(random_table(1, 2, 1, first=i)[0], table[i])
    some = torch.tensor([19, 3, 4, 0, 3])
    assert torch.equal(random_rows(1, 2, some), table[some])
    assert not torch.equal(random_table(1, 3, 20), table)
    assert not torch.equal(random_table(2, 2, 20), table)


def test_side_of_each_sample_alternates_between_epochs() -> None:
    sides = torch.stack([random_table(3, epoch, 1000)[:, SIDE] < 0.5 for epoch in range(4)])
    assert torch.equal(sides[0], sides[2])
    assert torch.equal(sides[1], ~sides[0])
    assert torch.equal(sides[3], ~sides[0])
    assert 450 < sides[0].sum() < 550
    assert not torch.equal(random_table(4, 0, 1000)[:, SIDE] < 0.5, sides[0])


@pytest.mark.parametrize(("world", "accumulate"), [(1, 1), (2, 1), (1, 4), (2, 3)])
def test_step_has_the_same_samples_for_any_split(world: int, accumulate: int) -> None:
    n, size = 103, 12
    ranks = [
        list(TrainBatches(n, size, 0, rank, world, accumulate).of_epoch(4)) for rank in range(world)
    ]
    assert {len(batches) for batches in ranks} == {n // size * accumulate}
    order = epoch_order(0, 4, n)
    for k in range(n // size):
        parts = [ranks[r][k * accumulate + m] for m in range(accumulate) for r in range(world)]
        assert {len(part) for part in parts} == {size // (world * accumulate)}
        assert torch.equal(torch.cat(parts), order[k * size : (k + 1) * size])


@pytest.mark.parametrize("stop", range(13))
def test_resuming_from_any_position(stop: int) -> None:
    position = 0
    batches = TrainBatches(41, 10, 7, position=lambda: position)
    epochs = [batch for epoch in range(4) for batch in batches.of_epoch(epoch)]
    position = stop
    seen = []
    while position < len(epochs):
        for batch in batches:
            seen.append(batch)
            position += 1
    assert all(torch.equal(a, b) for a, b in zip(seen, epochs[stop:], strict=True))


def test_shortened_epoch() -> None:
    position = 0
    batches = TrainBatches(100, 10, 0, position=lambda: position, taken=3)
    assert len(batches) == 10
    position = 7
    assert batches.where() == (2, 1)
    assert TrainBatches(100, 10, 0, position=lambda: 7, taken=0.5).where() == (1, 2)
    assert TrainBatches(100, 10, 0, position=lambda: 7, taken=50).where() == (0, 7)


def test_batch_size_that_does_not_divide_is_a_user_error() -> None:
    expected = (
        "data.batch_size=100 is the batch of one optimizer step and must divide into "
        "2 processes x 3 accumulated batches: type data.batch_size=102."
    )
    with pytest.raises(UserError, match=re.escape(expected)):
        TrainBatches(1000, 100, 0, world=2, accumulate=3)


def test_batch_size_larger_than_the_data_is_a_user_error() -> None:
    expected = (
        "data.batch_size=128 is more than the 99 training samples: type data.batch_size=98 or less."
    )
    with pytest.raises(UserError, match=re.escape(expected)):
        TrainBatches(99, 128, 0, world=2)


def test_evaluation_uses_every_sample_once_in_equal_numbers_of_batches() -> None:
    for n, size, world in itertools.product(range(1, 30), (1, 2, 3, 8, 100), (1, 2, 3, 4)):
        if n < world:
            continue
        ranks = [list(EvalBatches(n, size, rank, world)) for rank in range(world)]
        lengths = {len(EvalBatches(n, size, rank, world)) for rank in range(world)}
        assert {len(batches) for batches in ranks} == lengths
        assert len(lengths) == 1
        chunks = [chunk for batches in ranks for chunk in batches]
        assert torch.cat(chunks).sort()[0].tolist() == list(range(n))
        assert min(map(len, chunks)) >= 1
        assert max(map(len, chunks)) <= max(1, size // world) + 1


def test_fewer_samples_than_processes_is_a_user_error() -> None:
    with pytest.raises(UserError, match=r"2 samples cannot be evaluated on 4 processes: type"):
        EvalBatches(2, 8, 0, 4)


def test_repeat_uses_the_order_of_the_first_epoch() -> None:
    batches = TrainBatches(20, 4, seed=0, taken=2, repeat=True)
    first, later = ([b.tolist() for b in batches.of_epoch(epoch)] for epoch in (0, 3))
    assert later == first
    assert [b.tolist() for b in batches.steps_of(3)] == first
