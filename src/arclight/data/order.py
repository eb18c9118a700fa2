"""The order of the data, as a pure function of (seed, epoch).

There is no state: the position of a run is one number, its count of micro-batches. So a resumed run
continues with exactly the next sample, with any number of workers, and a run on 1, 2 or 8 processes
trains on the same global batches.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arclight.errors import UserError
from arclight.seeds import mix

__all__ = ["SIDE", "EvalBatches", "TrainBatches", "random_rows", "random_table"]

ROW = 32
"""The number of random numbers of each sample in each epoch."""
SIDE = ROW - 1
"""The column that is drawn once, and then shifted by 0.5 in each epoch."""
_BLOCK = 8  # float32 numbers for one count of Philox: four 64-bit words


def epoch_order(seed: int, epoch: int, n: int) -> Tensor:
    """Returns the order of the samples in this epoch, a permutation `(n,)`."""
    order = np.random.Generator(np.random.Philox(key=mix("order", seed, epoch))).permutation(n)
    return torch.from_numpy(order)


def random_table(seed: int, epoch: int, n: int, first: int = 0) -> Tensor:
    """Returns random numbers for samples `first ... first + n - 1`, `(n, ROW)` in [0, 1).

    A row depends only on (seed, epoch, sample). The column `SIDE` is on one side of 0.5 in even
    epochs and on the other in odd ones.
    """
    return _table(seed, epoch, [(first, n)])


def random_rows(seed: int, epoch: int, samples: Tensor) -> Tensor:
    """Returns the rows of `random_table` for some samples `(n,)`, `(n, ROW)`."""
    return _table(seed, epoch, [(sample, 1) for sample in samples.tolist()])


def _table(seed: int, epoch: int, runs: Sequence[tuple[int, int]]) -> Tensor:
    """The rows for ranges of samples, each given by its first sample and its length."""
    table = _draw(mix("sample", seed, epoch), runs, ROW)
    once = _draw(mix("side", seed), runs, _BLOCK)[:, 0]
    table[:, SIDE] = (once + 0.5 * (epoch % 2)) % 1
    return torch.from_numpy(table)


def _draw(key: int, runs: Sequence[tuple[int, int]], width: int) -> NDArray[np.float32]:
    """Draws with Philox (Salmon et al., 2011), a counter that can skip other samples for free."""
    philox = np.random.Philox(key=key, counter=0)
    generator, blocks, at = np.random.Generator(philox), width // _BLOCK, 0
    parts = []
    for first, n in runs:
        philox.advance((first - at) * blocks % 2**256)
        parts.append(generator.random((n, width), dtype=np.float32))
        at = first + n
    return np.concatenate(parts)


class TrainBatches:
    """The micro-batches of one rank: an iterable of index tensors.

    Global batch k of an epoch is `order[k * B : (k + 1) * B]`; the remainder is dropped. It is
    split into `world * accumulate` equal parts; rank r takes part `m * world + r` as its m-th
    micro-batch. Together they are the same samples for all values of `world` and `accumulate`.

    Args:
        n: the number of samples in the training set.
        batch_size: B, the samples of one optimizer step over all ranks and micro-batches.
        seed: the run's seed.
        rank: the rank of this process.
        world: the number of processes.
        accumulate: the number of micro-batches of one optimizer step.
        position: returns the number of micro-batches of this rank since the run's start. Each
            `iter()` calls it and continues from there to the end of that epoch.
        taken: the part of an epoch that the trainer uses: a number of micro-batches, or a share of
            them (Lightning's `limit_train_batches`). Epochs are then shorter.
        repeat: every epoch has the order of the first one (Lightning's `overfit_batches`).

    Attributes:
        order: returns the order of an epoch: a permutation of all samples, unless replaced
            (`windows.py`).

    Raises:
        UserError: the batch size cannot be split into equal parts, or exceeds the dataset.
    """

    def __init__(
        self,
        n: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        accumulate: int = 1,
        position: Callable[[], int] = lambda: 0,
        taken: int | float = 1.0,
        repeat: bool = False,
    ) -> None:
        parts = world * accumulate
        if batch_size < 1 or batch_size % parts:
            near = max(parts, round(batch_size / parts) * parts)
            raise UserError(
                f"data.batch_size={batch_size} is the batch of one optimizer step and must divide "
                f"into {world} processes x {accumulate} accumulated batches: "
                f"type data.batch_size={near}."
            )
        if n < batch_size:
            raise UserError(
                f"data.batch_size={batch_size} is more than the {n} training samples: "
                f"type data.batch_size={max(parts, n // parts * parts)} or less."
            )
        self.n, self.batch_size, self.seed = n, batch_size, seed
        self.rank, self.world, self.accumulate = rank, world, accumulate
        self.position, self.repeat = position, repeat
        self.order: Callable[[int], Tensor] = lambda epoch: epoch_order(seed, epoch, n)
        count = taken if isinstance(taken, int) else int(taken * len(self))
        self.epoch_length = max(1, min(count, len(self)))

    def __len__(self) -> int:
        return (self.n // self.batch_size) * self.accumulate

    def where(self) -> tuple[int, int]:
        """Returns the run's epoch, and the next micro-batch in it."""
        return divmod(self.position(), self.epoch_length)

    def __iter__(self) -> Iterator[Tensor]:
        return self.of_epoch(*self.where())

    def of_epoch(self, epoch: int, start: int = 0) -> Iterator[Tensor]:
        """Yields the micro-batches of one epoch from the `start`-th on, as index tensors."""
        order = self.order(0 if self.repeat else epoch)
        size = self.batch_size // (self.world * self.accumulate)
        for i in range(start, len(self)):
            part = i * self.world + self.rank
            yield order[part * size : (part + 1) * size]

    def steps_of(self, epoch: int, start: int = 0) -> Iterator[Tensor]:
        """Yields, for each micro-batch of `of_epoch`, all samples of its optimizer step."""
        order = self.order(0 if self.repeat else epoch)
        for i in range(start, len(self)):
            first = i // self.accumulate * self.batch_size
            yield order[first : first + self.batch_size]


class EvalBatches:
    """Every sample exactly once over all ranks, in the same number of batches on each rank.

    A rank takes every `world`-th sample, split into nearly equal chunks, without padding. So no
    rank waits for another at the end, and no sample counts twice. A chunk is never empty: if ranks
    have different numbers of samples and the batch is one sample per rank, a chunk may have two.

    Args:
        n: the number of samples in the set.
        batch_size: the most samples of one batch over all ranks.
        rank: the rank of this process.
        world: the number of processes.

    Raises:
        UserError: there are fewer samples than processes.
    """

    def __init__(self, n: int, batch_size: int, rank: int = 0, world: int = 1) -> None:
        if n < world:
            raise UserError(
                f"{n} samples cannot be evaluated on {world} processes: type trainer.devices=1, "
                "or give a larger data.val_fraction or data.test_fraction."
            )
        self.n, self.rank, self.world = n, rank, world
        largest_share = math.ceil(n / world)
        needed = math.ceil(largest_share / max(1, batch_size // world))
        self._batches = min(needed, n // world)  # at most the size of the smallest share

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[Tensor]:
        share = torch.arange(self.rank, self.n, self.world)
        return iter(share.tensor_split(self._batches))


class ChosenBatch(EvalBatches):
    """Some samples of a set in one batch, in the given order."""

    def __init__(self, places: Sequence[int]) -> None:
        super().__init__(len(places), len(places))
        self._places = torch.tensor(places)

    def __iter__(self) -> Iterator[Tensor]:
        return iter([self._places])
