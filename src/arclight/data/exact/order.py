"""The order of one pass over a map-style dataset: the samples of each batch, for each rank."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from arclight.data.exact.generators import held_generators, reseed
from arclight.data.exact.randomness import Stream, isolated
from arclight.data.order import EvalBatches

# These draw from the global generator only for the first index, then from their own.
_DRAW_ONCE = (
    *(RandomSampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler),
    DistributedSampler,
)


class Key(NamedTuple):
    """All that a process needs to make a batch.

    Attributes:
        indices: the sampler's indices, a list; without automatic batching, one index.
        positions: the positions of the samples in the global order of the pass.
        base: the first key of the pass, see `spread`.
        epoch: the epoch, for datasets with `set_epoch`; None in evaluation.
    """

    indices: Any
    positions: Sequence[int]
    base: int
    epoch: int | None


class Order:
    """The batches of one rank of a map-style `DataLoader`, as a pure function of the pass.

    In training, global batch k of `world` processes consists of `world` consecutive batches of the
    sampler; rank r takes the r-th. So equal products of batch size, processes and accumulated
    batches give equal global batches. If fewer samples are left at the end, they are dropped with
    `drop_last`. Otherwise, they are split into `world` nearly equal parts, so that all ranks take
    the same number of steps and no sample is repeated; they are dropped only if there are fewer
    than ranks. An incomplete group of batches of a custom batch sampler is dropped.

    In evaluation each sample counts once, and all ranks have the same number of batches
    (`EvalBatches`); without automatic batching one rank may have one sample more than another.

    A sampler that splits the samples among ranks itself, such as `DistributedSampler`, is used
    unchanged.

    Args:
        loader: the loader with the sampler and the batch size.
        rank: the rank of this process.
        world: the number of processes.
        evaluation: whether the loader validates, tests or predicts.
        sequential: ignore the sampler and use the order of the dataset.
    """

    def __init__(
        self,
        loader: "DataLoader[Any]",
        rank: int = 0,
        world: int = 1,
        evaluation: bool = False,
        sequential: bool = False,
    ) -> None:
        self.batched = loader.batch_sampler is not None
        self.sampler: Any = loader.batch_sampler if self.batched else loader.sampler
        if sequential:
            self.sampler = SequentialSampler(loader.dataset)  # type: ignore[arg-type]
            if self.batched:
                size: Any = loader.batch_size or getattr(loader.batch_sampler, "batch_size", 1)
                self.sampler = BatchSampler(self.sampler, size, loader.drop_last)
        self.inner = getattr(self.sampler, "sampler", None) if self.batched else self.sampler
        self.shared = any(hasattr(s, "num_replicas") for s in (self.sampler, self.inner))
        self.rank, self.world = (0, 1) if self.shared else (rank, world)
        self.shard = rank if self.shared else 0
        self.evaluation, self.drop_last = evaluation, loader.drop_last
        self.generator = loader.generator

    def __len__(self) -> int:
        """Returns the number of batches of one pass on each rank.

        Raises:
            TypeError: the sampler has no length.
        """
        if self.world == 1:
            return len(self.sampler)
        if self.evaluation and not self.batched:
            return len(range(self.rank, len(self.sampler), self.world))
        if self.evaluation:
            return len(self._evaluated(self._samples()))
        complete, rest = divmod(len(self.sampler), self.world)
        if rest and self._cuts_tail:
            left = len(self.sampler.sampler) - complete * self.world * self.sampler.batch_size
            return complete + int(left >= self.world)
        return complete

    @property
    def _cuts_tail(self) -> bool:
        return type(self.sampler) is BatchSampler and not self.sampler.drop_last

    def keys(self, epoch: int, base: int) -> Iterator[Key]:
        """Yields the batches of this rank in one pass.

        Args:
            epoch: passed to a sampler that has `set_epoch`.
            base: the first key of the pass; it seeds the sampler.
        """
        for item in (self.sampler, self.inner):
            if callable(set_epoch := getattr(item, "set_epoch", None)):
                set_epoch(epoch)
        whole = self._whole(base, None if self.evaluation else epoch)
        if self.world == 1:
            return whole
        return self._each_once(whole) if self.evaluation else self._consecutive(whole)

    def _whole(self, base: int, epoch: int | None) -> Iterator[Key]:
        """Yields all batches of the sampler, in its order."""
        position = 0
        for batch in self._drawn(base):
            indices = list(batch) if self.batched else batch
            count = len(indices) if self.batched else 1
            yield Key(indices, range(position, position + count), base, epoch)
            position += count

    def _consecutive(self, whole: Iterator[Key]) -> Iterator[Key]:
        while len(group := list(islice(whole, self.world))) == self.world:
            yield group[self.rank]
        if not (group and self._cuts_tail):
            return
        indices = [index for key in group for index in key.indices]
        first, count = group[0].positions[0], len(indices)
        if count >= self.world:
            start, end = (count * r // self.world for r in (self.rank, self.rank + 1))
            positions = range(first + start, first + end)
            yield group[0]._replace(indices=indices[start:end], positions=positions)

    def _each_once(self, whole: Iterator[Key]) -> Iterator[Key]:
        keys = list(whole)
        if not self.batched:
            yield from keys[self.rank :: self.world]
            return
        indices = [index for key in keys for index in key.indices]
        for part in self._evaluated(len(indices)):
            positions = part.tolist()
            yield keys[0]._replace(indices=[indices[i] for i in positions], positions=positions)

    def _samples(self) -> int:
        if type(self.sampler) is not BatchSampler:
            return sum(len(key.indices) for key in self._whole(0, None))
        if self.sampler.drop_last:
            return len(self.sampler) * self.sampler.batch_size
        return len(self.sampler.sampler)  # type: ignore[arg-type]

    def _evaluated(self, samples: int) -> EvalBatches:
        size = getattr(self.sampler, "batch_size", None)
        if size is None:  # a custom batch sampler
            size = -(-samples // max(1, len(self.sampler)))
        return EvalBatches(samples, size * self.world, self.rank, self.world)

    def _drawn(self, base: int) -> Iterator[Any]:
        """Yields the sampler's output, with all generators that it may draw from seeded.

        While it runs, the global generators are replaced by a stream that continues from batch to
        batch.
        """
        once = type(self.inner) in _DRAW_ONCE and (
            not self.batched or type(self.sampler) is BatchSampler
        )
        stream = Stream(base)
        with isolated(stream):
            reseed(held_generators(self.sampler, self.generator), base)
            batches = iter(self.sampler)
            batch = next(batches, _END)
        while batch is not _END:
            yield batch
            if once:
                batch = next(batches, _END)
                continue
            with isolated(stream):
                batch = next(batches, _END)


_END = object()


class Prepared:
    """The batch sampler of the inner loader; it yields the keys that were prepared for a pass."""

    def __init__(self, length: Callable[[], int]) -> None:
        self.ready: Iterator[Key] = iter(())
        self.length = length

    def __iter__(self) -> Iterator[Key]:
        return self.ready

    def __len__(self) -> int:
        return self.length()
