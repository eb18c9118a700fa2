"""A shuffled order for data in shards that reads only a few shards at a time.

A permutation of all samples reads all shards at the same time, which is slow on disks and defeats
caches. Here the shards are permuted, and samples are shuffled only among the few shards that are
open together. The order is a pure function of (seed, epoch), so one number is enough to resume.
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
"""The number of places at which an epoch is read in parallel: up to 8 processes read different
shards."""


def windowed_order(
    seed: int,
    epoch: int,
    shards: NDArray[np.int32],
    window: int,
    batch_size: int,
    lanes: int = 1,
) -> Tensor:
    """Returns the order of the samples in this epoch, without the last incomplete batch.

    The permuted shards are split into `lanes` parts, and each batch takes the same number of
    samples from each part, in that order. So the second of two processes, which takes the second
    half of every batch, reads the second half of the shards. The order itself does not depend on
    the number of processes.

    Args:
        seed: the run's seed.
        epoch: the epoch, counted from 0.
        shards: the shard of each sample, `(n,)`.
        window: the number of shards that are shuffled together.
        batch_size: samples of one optimizer step.
        lanes: the number of parts, a divisor of `batch_size`.

    Returns:
        The indices of whole batches, one after the other.
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
    """Gives the batches a windowed order; with `window=None`, all samples are shuffled."""
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
