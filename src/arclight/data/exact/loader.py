"""A map-style `DataLoader` that gives the same batches after any cut."""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

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
    ) -> None:
        super().__init__(loader, seed, name, position)
        self.order = Order(loader, rank, world, position is None, sequential)
        self._prepared = Prepared(lambda: len(self.order))
        dataset = SeededSamples(loader.dataset, loader.collate_fn, self.order.batched)
        self.inner = rebuilt(loader, dataset, self._prepared, loader.num_workers)
        self._rewind()

    def _rewind(self) -> None:
        self._epoch, self._cycle = -1, 0
        self._ended, self._left = False, 0
        self._sampler: bytes | None = None

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
            keys = self.order.keys(epoch, base)
            skipped = sum(1 for _ in zip(range(skip), keys, strict=False))
            skip -= skipped
            first = None if skip else next(keys, None)
            if first is not None:
                return chain([first], keys)
            if not again or not skipped:  # the end of the epoch, or nothing to read
                self._ended, self._left = True, skip
                return None
            cycle += 1

    def watch(self) -> None:
        """Sets `inexact_because` if the sampler has been changed since the last call."""
        if self.position is None or self.inexact_because:
            return
        before, self._sampler = self._sampler, fingerprint(self.order.sampler)
        if before not in (None, self._sampler):
            self.inexact_because = (
                f"{type(self.order.inner or self.order.sampler).__name__} has been changed while "
                "training, and a checkpoint does not keep what changed it."
            )

    @property
    def sampler(self) -> Any:
        """Of single indices: the one in use."""
        return self.order.inner if self.order.inner is not None else self.loader.sampler

    @property
    def batch_sampler(self) -> Any:
        return self.order.sampler if self.order.batched else None
