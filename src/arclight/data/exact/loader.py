"""What Lightning sees in place of a `DataLoader`: the same batches after any cut."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader

from arclight.data.exact.order import Key, Order, Prepared
from arclight.data.exact.processes import forget, show_dataset, start, stop
from arclight.data.exact.randomness import isolated
from arclight.data.exact.samples import SeededSamples, as_it_is
from arclight.seeds import mix


class ExactLoader:
    """The batches of a map-style `DataLoader`, as a pure function of (seed, epoch, position).

    It is not a `DataLoader` but has one, so that Lightning neither replaces its sampler nor
    restarts its epoch. Where a pass begins is asked for with its first batch, not by `iter()`,
    which Lightning calls before it has restored its counters.

    Args:
        loader: the user's; only its settings are used.
        seed: the run's.
        name: of the loader within the run; two loaders of a run draw different numbers.
        position: the epoch, and the batches of it that have been trained; None in evaluation,
            which is the same each time.
        rank: this process among `world`.
        sequential: ignore the sampler, as Lightning's `overfit_batches` wants it.

    Attributes:
        inexact_because: a sentence where a cut may change the batches, else None.
    """

    inexact_because: str | None = None

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
        self.loader, self.seed, self.name, self.position = loader, seed, name, position
        self.order = Order(loader, rank, world, position is None, sequential)
        self._prepared = Prepared(lambda: len(self.order))
        dataset: Any = SeededSamples(loader.dataset, loader.collate_fn, self.order.batched)
        self.inner = rebuilt(loader, dataset, batch_sampler=self._prepared)
        self._batches: Iterator[Any] | None = None
        self._epoch, self._cycle = -1, 0
        self._ended, self._left = False, 0

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Any]:
        """Yields the rest of the epoch, or one more pass over data that are cycled within it."""
        keys = self._begun()
        if keys is None:
            return
        if not (self.inner.persistent_workers and self._batches is not None):
            self._close_pass()
        self._prepared.ready = keys
        # Persistent workers may be given more keys by `start`, others get theirs here.
        self._batches = batches = start(self.inner)
        while True:
            if self.inner.num_workers:
                batch = next(batches, _END)  # what the sampler draws is isolated in `Order`
            else:
                with isolated():
                    batch = next(batches, _END)
            if batch is _END:
                break
            yield batch
        if self._batches is batches:
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
            keys = self.order.keys(
                epoch, mix(self.name, self.seed, epoch, cycle, self.order.shard) >> 64
            )
            skipped = sum(1 for _ in zip(range(skip), keys, strict=False))
            if skipped == skip:
                return keys
            skip -= skipped
            if not again or not skipped:
                self._ended, self._left = True, skip
                return None
            cycle += 1

    def close(self) -> None:
        """Ends the workers; another `iter()` starts new ones."""
        self._close_pass()

    def _close_pass(self) -> None:
        stop(self._batches)
        self._batches = None
        forget(self.inner)

    # By this name Lightning finds, ends and forgets a loader's workers when a fit is over.
    @property
    def _iterator(self) -> Any:
        return self._batches

    @_iterator.setter
    def _iterator(self, iterator: Any) -> None:
        if iterator is None:
            self._close_pass()

    # What users, and Lightning in its warnings, read of a loader.
    @property
    def dataset(self) -> Any:
        return self.loader.dataset

    @property
    def batch_size(self) -> int | None:
        return self.loader.batch_size

    @property
    def num_workers(self) -> int:
        return self.loader.num_workers

    @property
    def drop_last(self) -> bool:
        return self.loader.drop_last

    @property
    def sampler(self) -> Any:
        """Of single indices: the one in use."""
        return self.order.inner if self.order.inner is not None else self.loader.sampler

    @property
    def batch_sampler(self) -> Any:
        return self.order.sampler if self.order.batched else None

    def set_epoch(self, epoch: int) -> None:
        """Does nothing: samplers and data sets hear of the epoch when a pass of it begins."""

    # A loader with these two is one that Lightning knows it can resume. It has nothing to keep:
    # where it stands is kept once for all loaders.
    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


_END = object()


def rebuilt(loader: "DataLoader[Any]", dataset: Any, **how: Any) -> "DataLoader[Any]":
    """A loader of whole batches with the settings of another one, collating aside."""
    workers = loader.num_workers
    return DataLoader(
        dataset,
        num_workers=workers,
        collate_fn=as_it_is,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=partial(_init_worker, loader.worker_init_fn),
        multiprocessing_context=loader.multiprocessing_context,
        generator=torch.Generator(),  # the global one stays untouched
        prefetch_factor=loader.prefetch_factor if workers else None,
        persistent_workers=loader.persistent_workers,
        pin_memory_device=getattr(loader, "pin_memory_device", ""),
        **how,
    )


def _init_worker(then: Callable[[int], None] | None, worker: int) -> None:
    show_dataset()
    if then is not None:
        then(worker)
