"""A map-style `DataLoader` that gives the same batches after any cut."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any
from zlib import crc32

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader

from arclight.data.exact.facade import Facade, rebuilt
from arclight.data.exact.order import Key, Order, Prepared
from arclight.data.exact.repeats import fingerprint
from arclight.data.exact.samples import SeededSamples
from arclight.seeds import mix


class ExactLoader(Facade):
    """The batches of a map-style `DataLoader`; a resumed epoch skips its first ones unread.

    Args:
        loader, seed, name, position: see `Facade`.
        rank: this process among `world`; how they share the samples is said in `Order`.
        sequential: ignore the sampler, as Lightning's `overfit_batches` wants it.
        kept: what `keep` has returned, of the run that is resumed.
    """

    def __init__(
        self,
        loader: "DataLoader[Any]",
        seed: int,
        name: str = "train",
        position: Callable[[], tuple[int, int]] | None = None,
        rank: int = 0,
        world: int = 1,
        sequential: bool = False,
        kept: Sequence[int] = (),
    ) -> None:
        super().__init__(loader, seed, name, position)
        self.kept = list(kept)
        self.order = Order(loader, rank, world, position is None, sequential)
        self._prepared = Prepared(lambda: len(self.order))
        dataset = SeededSamples(loader.dataset, loader.collate_fn, self.order.batched)
        self.inner = rebuilt(loader, dataset, self._prepared, loader.num_workers)
        self._rewind()

    def _rewind(self) -> None:
        self._epoch, self._cycle = -1, 0
        self._ended, self._left = False, 0
        self._sampler: bytes | None = None
        self._digests = array("I", [0])

    def _tried(self, batches: int) -> str | None:
        made: Any = self.inner.dataset
        made.tries = True
        first = self._read(0, batches)
        order, later, made.tries = self._digests[: batches + 1], self._again_from(len(first)), False
        again = self._read(later, batches - later)
        if order != self._digests[: batches + 1]:
            return (
                f"{self._of_sampler}, asked twice for the order of an epoch, gives another one: it "
                "keeps something from one time to the next, or draws from a generator that is not "
                "found."
            )
        if not all(alike for _, alike in first):
            return (
                f"{type(self.loader.dataset).__name__} draws random numbers when it reads a sample "
                "for the first time, and none the next time: what it keeps meanwhile is lost where "
                "a run is cut. Keep samples as they are before anything random is done to them."
            )
        return self._compared([batch for batch, _ in first[later:]], again)

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Any]:
        self.watch()
        keys = self._begun()
        if keys is None:
            return
        self._prepared.ready = keys
        yield from self._served()
        self._ended, self._left = True, 0

    def _begun(self) -> Iterator[Key] | None:
        """The keys of the pass that begins now; None where the run stands at its end.

        Within an epoch, a loader that has come to its end is asked again where it is cycled. A
        resumed run must have seen the end once, or Lightning would not know.
        """
        epoch, skip = self.position() if self.position else (0, 0)
        again = self.position is not None and epoch == self._epoch and self._ended
        cycle = self._cycle + 1 if again else 0
        skip = self._left if again else skip
        self._epoch, self._ended = epoch, False
        while True:
            self._cycle = cycle
            base = mix(self.name, self.seed, epoch, cycle, self.order.shard) >> 64
            keys = self._noted(self.order.keys(epoch, base))
            skipped = sum(1 for _ in zip(range(skip), keys, strict=False))
            if not again and self.kept[:2] == [epoch, skip] and skipped == skip:
                self._require(self.kept[2])
            skip -= skipped
            first = None if skip else next(keys, None)
            if first is not None:
                return chain([first], keys)
            if not again or not skipped:  # the end of the epoch, or nothing to read
                self._ended, self._left = True, skip
                return None
            cycle += 1

    def _noted(self, keys: Iterator[Key]) -> Iterator[Key]:
        """Keeps a digest of the order up to each batch."""
        self._digests = array("I", [0])
        for key in keys:
            self._digests.append(crc32(_told(key.indices), self._digests[-1]))
            yield key

    def keep(self, epoch: int, batch: int) -> list[int]:
        """What a checkpoint must keep of the order, if so many batches have been trained."""
        known = epoch == self._epoch and batch < len(self._digests) and not self._cycle
        return [epoch, batch, self._digests[batch]] if known else self.kept

    def _require(self, digest: int) -> None:
        """Sets `inexact_because` if the skipped batches are others than those that were trained."""
        if digest != self._digests[-1]:
            self.inexact_because = (
                f"{self._of_sampler} has given another order before the run was cut: it follows "
                "from something that no checkpoint keeps, such as the loss."
            )

    def watch(self) -> None:
        """Sets `inexact_because` if the sampler has been changed since the last call."""
        if self.position is None or self.inexact_because:
            return
        before, self._sampler = self._sampler, fingerprint(self.order.sampler)
        if before not in (None, self._sampler):
            self.inexact_because = (
                f"{self._of_sampler} has been changed while training, and a checkpoint does not "
                "keep what changed it."
            )

    @property
    def _of_sampler(self) -> str:
        return type(self.order.inner or self.order.sampler).__name__

    @property
    def sampler(self) -> Any:
        """Of single indices: the one in use."""
        return self.order.inner if self.order.inner is not None else self.loader.sampler

    @property
    def batch_sampler(self) -> Any:
        return self.order.sampler if self.order.batched else None


def _told(indices: Any) -> bytes:
    """Indices as bytes, which are equal where the indices are."""
    if isinstance(indices, list) and not (indices and type(indices[0]) is int):
        indices = [_plain(index) for index in indices]
    return repr(_plain(indices)).encode()


def _plain(index: Any) -> Any:
    if isinstance(index, (Tensor, np.generic, np.ndarray)):
        return index.tolist()
    return index if isinstance(index, (int, float, str, bytes, list, tuple)) else type(index)
