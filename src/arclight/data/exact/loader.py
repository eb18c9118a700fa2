"""A map-style `DataLoader` that continues with the same batches after any interruption."""

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
    """The batches of a map-style `DataLoader`; a resumed epoch skips batches without reading them.

    Args:
        loader, seed, name, position: see `Facade`.
        rank: the rank of this process; `Order` says how processes share the samples.
        world: the number of processes.
        sequential: ignore the sampler, for Lightning's `overfit_batches`.
        kept: the value of `keep` from the checkpoint, if the run is resumed.
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

    def _difference(self, batches: int) -> str | None:
        made: Any = self.inner.dataset
        made.tries = True
        first = self._read(0, batches)
        order, later, made.tries = self._digests[: batches + 1], self._again_from(len(first)), False
        again = self._read(later, batches - later)
        if order != self._digests[: batches + 1]:
            return (
                f"{self._sampler_name} does not repeat the order of an epoch: it has state that "
                "changes with each pass, or draws from a generator that is not found."
            )
        if not all(equal for _, equal in first):
            return (
                f"{type(self.loader.dataset).__name__} draws random numbers only when it reads a "
                "sample for the first time: it caches random results, which are lost when a run is "
                "interrupted. Cache samples before their random transforms."
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
        """Returns the keys of the pass that starts now; None if the run is at its end.

        Lightning iterates again over a loader that is cycled within an epoch. A resumed run must
        reach the end of the loader once, so that Lightning knows.
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
        """Stores a digest of the order up to each batch."""
        self._digests = array("I", [0])
        for key in keys:
            self._digests.append(crc32(_as_bytes(key.indices), self._digests[-1]))
            yield key

    def keep(self, epoch: int, batch: int) -> list[int]:
        """Returns the state for a checkpoint after `batch` batches of the epoch."""
        known = epoch == self._epoch and batch < len(self._digests) and not self._cycle
        return [epoch, batch, self._digests[batch]] if known else self.kept

    def _require(self, digest: int) -> None:
        """Sets `inexact_because` if the skipped batches differ from those that were trained."""
        if digest != self._digests[-1]:
            self.inexact_because = (
                f"{self._sampler_name} gave another order before the interruption: its order "
                "depends on something that is not in the checkpoint, such as the loss."
            )

    def watch(self) -> None:
        """Sets `inexact_because` if the sampler has been changed since the last call."""
        if self.position is None or self.inexact_because:
            return
        before, self._sampler = self._sampler, fingerprint(self.order.sampler)
        if before not in (None, self._sampler):
            self.inexact_because = (
                f"{self._sampler_name} was changed during training, and the cause is not saved in "
                "checkpoints."
            )

    @property
    def _sampler_name(self) -> str:
        return type(self.order.inner or self.order.sampler).__name__

    @property
    def sampler(self) -> Any:
        """The sampler of single indices that is in use."""
        return self.order.inner if self.order.inner is not None else self.loader.sampler

    @property
    def batch_sampler(self) -> Any:
        return self.order.sampler if self.order.batched else None


def _as_bytes(indices: Any) -> bytes:
    """Indices as bytes; equal indices give equal bytes."""
    if isinstance(indices, list) and not (indices and type(indices[0]) is int):
        indices = [_plain(index) for index in indices]
    return repr(_plain(indices)).encode()


def _plain(index: Any) -> Any:
    if isinstance(index, (Tensor, np.generic, np.ndarray)):
        return index.tolist()
    return index if isinstance(index, (int, float, str, bytes, list, tuple)) else type(index)
