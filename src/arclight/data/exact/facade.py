"""The loader that Lightning sees instead of a `DataLoader`."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader

from arclight.data.exact.randomness import isolated
from arclight.data.exact.repeats import same
from arclight.data.exact.streaming import has_state
from arclight.data.loader_workers import OwnsWorkers, show_dataset
from arclight.libraries.pytorch import exit_if_batch_is_lost


class Facade(OwnsWorkers, ABC):
    """A loader with batches that are a pure function of (seed, epoch, position).

    It is not a `DataLoader` but contains one, `inner`, so Lightning neither replaces its sampler
    nor restarts its epoch. It reads the start position with the first batch, not in `iter()`, which
    Lightning calls before it restores its counters.

    Args:
        loader: the user's loader; only its settings are used.
        seed: the seed of the run.
        name: the name of the loader in the run; each loader draws different random numbers.
        position: returns the epoch and the number of its batches trained so far; None in
            evaluation, which is the same each time.

    Attributes:
        inexact_because: why an interruption may change the batches, as a sentence; None if it
            cannot.
    """

    inexact_because: str | None = None

    def __init__(
        self,
        loader: "DataLoader[Any]",
        seed: int,
        name: str,
        position: Callable[[], tuple[int, int]] | None,
    ) -> None:
        self.loader, self.seed, self.name, self.position = loader, seed, name, position

    @abstractmethod
    def __len__(self) -> int:
        """Returns the number of batches of one pass.

        Raises:
            TypeError: the number is unknown.
        """

    @abstractmethod
    def __iter__(self) -> Iterator[Any]:
        """Yields the rest of the epoch, or another pass over data that are cycled within it."""

    def check(self, batches: int = 2) -> str | None:
        """Reads the first batches twice; if they differ, sets and returns `inexact_because`.

        The second pass starts like a resumed run, so other workers make the batches. Call this
        before training only. Evaluation data are not read.

        Args:
            batches: the number of batches, at least; one more than there are workers is used.
        """
        if self.position is None:
            return None
        position = self.position
        try:
            self.inexact_because = self._difference(max(batches, self.inner.num_workers + 1))
        finally:
            self.position = position
            self._rewind()
        return self.inexact_because

    @abstractmethod
    def _difference(self, batches: int) -> str | None:
        """Reads batches twice; returns a sentence on why they differ, or None if they do not."""

    def _read(self, step: int, batches: int) -> list[Any]:
        """Reads batches of the first epoch from `step` on; keeps the loader's state afterwards."""
        self._rewind()
        self.position = lambda: (0, step)
        read = list(islice(self, batches))
        self.close()
        return read

    def _again_from(self, read: int) -> int:
        """The index of the batch that the second pass starts with."""
        return min(max(1, read - 3), read - 1) if read else 0

    def _compared(self, first: Any, again: Any) -> str | None:
        if same(first, again):
            return None
        dataset = self.loader.dataset
        incomplete = "; or its state_dict does not contain its whole position"
        return (
            f"the first batches of {type(dataset).__name__} differ when they are read twice: "
            "something in them depends neither on the global generators of torch, numpy and random "
            "nor on a generator in the dataset, its transforms or their modules"
            f"{incomplete if has_state(dataset) else ''}."
        )

    @abstractmethod
    def _rewind(self) -> None:
        """Resets the loader to its state before the first pass."""

    def _served(self) -> Iterator[Any]:
        """Yields the batches of the inner loader's next pass."""
        if not (self.inner.persistent_workers and self._batches is not None):
            self.close()
        alone = self.inner.num_workers == 0
        with isolated():
            batches = self.begin()
        while True:
            if alone:
                with isolated():
                    batch = next(batches, _END)
            else:
                batch = next(batches, _END)
            if batch is _END:
                return
            yield batch

    @property
    def num_workers(self) -> int:
        return self.inner.num_workers

    def __getattr__(self, name: str) -> Any:
        """Attributes of the user's loader, such as `dataset` and `batch_size`."""
        # Lightning may replace a `sampler` that it sees; see `ExactLoader`.
        if name.startswith("_") or name in ("loader", "inner", "sampler", "batch_sampler"):
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")
        return getattr(self.loader, name)

    # Lightning resumes only loaders with these two methods. There is nothing to save here:
    # `ExactLoaders` saves the positions of all loaders, since Lightning does not restore the state
    # of a loader after a schedule has read the number of steps.
    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Does nothing: there is no state."""
        del state


_END = object()


def as_it_is(batch: Any) -> Any:
    """Replaces the collate function where the dataset returns whole batches."""
    return batch


def rebuilt(
    loader: "DataLoader[Any]", dataset: Any, batch_sampler: Any, workers: int
) -> "DataLoader[Any]":
    """Returns a loader with the settings of another one, for a dataset that makes whole batches."""
    return DataLoader(
        dataset,
        batch_sampler=batch_sampler,
        num_workers=workers,
        collate_fn=as_it_is,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout if workers else 0,
        worker_init_fn=partial(_init_worker, loader.worker_init_fn),
        multiprocessing_context=loader.multiprocessing_context if workers else None,
        generator=torch.Generator(),  # otherwise, the loader draws from the global one
        prefetch_factor=loader.prefetch_factor if workers else None,
        persistent_workers=loader.persistent_workers and workers > 0,
        pin_memory_device=getattr(loader, "pin_memory_device", ""),
    )


def _init_worker(then: Callable[[int], None] | None, worker: int) -> None:
    show_dataset()
    exit_if_batch_is_lost()
    if then is not None:
        then(worker)
