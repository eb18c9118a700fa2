"""Windowed order: each sample once per epoch, few open shards, and different shards per process."""

import numpy as np
import pytest
import torch

from arclight.data.order import TrainBatches
from arclight.data.windows import LANES, windowed_order, within_windows

SHARDS = np.repeat(np.arange(16, dtype=np.int32), 30)


def test_windowed_order_is_a_different_permutation_in_each_epoch() -> None:
    orders = [windowed_order(0, epoch, SHARDS, 4, batch_size=16) for epoch in (0, 0, 1)]
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])
    assert sorted(orders[0].tolist()) == list(range(480))
    for part in SHARDS[orders[0].numpy()].reshape(4, 120):
        assert len(np.unique(part)) == 4
    left = set(range(480)) - set(windowed_order(0, 0, SHARDS, 4, batch_size=100).tolist())
    other = set(range(480)) - set(windowed_order(0, 1, SHARDS, 4, batch_size=100).tolist())
    assert len(left) == 80
    assert left != other


@pytest.mark.parametrize(("world", "accumulate"), [(2, 1), (1, 4), (2, 2), (4, 1)])
def test_processes_split_each_global_batch(world: int, accumulate: int) -> None:
    def batches(rank: int, world: int, accumulate: int) -> list[torch.Tensor]:
        made = TrainBatches(len(SHARDS), 24, 3, rank, world, accumulate)
        return list(within_windows(made, SHARDS, 1).of_epoch(2))

    whole = batches(0, 1, 1)
    ranks = [batches(rank, world, accumulate) for rank in range(world)]
    for k, expected in enumerate(whole):
        parts = [ranks[r][k * accumulate + m] for m in range(accumulate) for r in range(world)]
        assert torch.equal(torch.cat(parts), expected)
    if accumulate == 1:  # a process opens little more than its share of the shards
        for rank in ranks:
            assert len(np.unique(SHARDS[torch.cat(rank)])) <= len(np.unique(SHARDS)) // world + 2
    assert LANES % world == 0
