"""An order for data in shards: random enough to learn from, near enough to read one by one.

A permutation of everything touches every shard at once, which disks and caches punish. Here whole
shards are permuted, and samples only among the few shards that are open together. It stays a pure
function of (seed, epoch), so resuming needs no more than it does elsewhere: one number.
"""

from functools import partial
from math import gcd

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arclight.data.order import TrainBatches
from arclight.seeds import mix

__all__ = ["LANES", "within_windows"]

LANES = 8
"""Places at which an epoch is read at once: up to so many processes read shards of their own."""


def windowed_order(
    seed: int,
    epoch: int,
    shards: NDArray[np.int32],
    window: int,
    batch_size: int,
    lanes: int = 1,
) -> Tensor:
    """The order in which this epoch visits the samples; the last few are left for another epoch.

    The permuted shards are cut into `lanes` stretches, and each batch takes an equal part from
    each, in that order: process r of 2 takes the second half of every batch, so it reads the
    second half of the shards. The order itself knows nothing of processes.

    Args:
        seed: the run's seed.
        epoch: counted from 0.
        shards: `(n,)`, the shard that each sample lies in.
        window: so many shards are shuffled together.
        batch_size: samples of one optimizer step.
        lanes: a divisor of `batch_size`.

    Returns:
        Indices, whole batches of them.
    """
    rng = np.random.Generator(np.random.Philox(key=mix("windows", seed, epoch)))
    numbers, which = np.unique(shards, return_inverse=True)
    place = np.empty(len(numbers), dtype=np.int64)
    place[rng.permutation(len(numbers))] = np.arange(len(numbers)) // window
    order = np.lexsort((rng.random(len(shards)), place[which]))
    batches = len(order) // batch_size
    each = batch_size // lanes
    stretches = order[: batches * batch_size].reshape(lanes, batches, each)
    return torch.from_numpy(stretches.transpose(1, 0, 2).reshape(-1).copy())


def within_windows(
    batches: TrainBatches, shards: NDArray[np.int32], window: int | None
) -> TrainBatches:
    """Makes the batches come in a windowed order; None leaves them in one of everything."""
    if window is not None:
        lanes = gcd(batches.batch_size, LANES)
        batches.order = partial(
            windowed_order,
            batches.seed,
            shards=shards,
            window=window,
            batch_size=batches.batch_size,
            lanes=lanes,
        )
    return batches
