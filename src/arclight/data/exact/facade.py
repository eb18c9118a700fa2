"""What Lightning sees in place of a `DataLoader`."""

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
from arclight.libraries.pytorch import end_with_its_queue


class Facade(OwnsWorkers, ABC):
    """A loader whose batches are a pure function of (seed, epoch, position).

    It is not a `DataLoader` but has one, `inner`, so that Lightning neither replaces its sampler
    nor restarts its epoch. Where a pass begins is asked for with its first batch, not by `iter()`,
    which Lightning calls before it has restored its counters.

    Args:
        loader: the user's; only its settings are used.
        seed: the run's.
        name: of the loader within the run; two loaders of a run draw different numbers.
        position: the epoch, and the batches of it that have been trained; None in evaluation,
            which is the same each time.

    Attributes:
        inexact_because: a sentence where a cut may change the batches, else None.
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
        """Batches of one pass.

        Raises:
            TypeError: nobody knows.
        """

    @abstractmethod
    def __iter__(self) -> Iterator[Any]:
        """Yields the rest of the epoch, or one more pass over data that are cycled within it."""

    def check(self, batches: int = 2) -> str | None:
        """Reads the first batches twice; where they differ, sets `inexact_because` and returns it.

        The second time it begins as a resumed run does, with batches that other workers have made
        the first time. To be called before training, if at all. Data of evaluation are not read.

        Args:
            batches: at least so many: one more than there are workers is wanted.
        """
        if self.position is None:
            return None
        position = self.position
        try:
            self.inexact_because = self._tried(max(batches, self.inner.num_workers + 1))
        finally:
            self.position = position
            self._rewind()
        return self.inexact_because

    @abstractmethod
    def _tried(self, batches: int) -> str | None:
        """Why batches that are read twice are not the same, in a sentence, else None."""

    def _read(self, step: int, batches: int) -> list[Any]:
        """So many batches of the first epoch, from this one on; what they leave is kept."""
        self._rewind()
        self.position = lambda: (0, step)
        read = list(islice(self, batches))
        self.close()
        return read

    def _again_from(self, read: int) -> int:
        """With which of the batches read the second reading begins."""
        return min(max(1, read - 3), read - 1) if read else 0

    def _compared(self, first: Any, again: Any) -> str | None:
        if same(first, again):
            return None
        dataset = self.loader.dataset
        forgets = "; or its state_dict leaves out a part of where it stands"
        return (
            f"the first batches of {type(dataset).__name__}, read twice, differ: something in them "
            "follows from neither torch's, numpy's and random's global generators nor from one "
            "that is found in the data set, its transforms or their modules"
            f"{forgets if has_state(dataset) else ''}."
        )

    @abstractmethod
    def _rewind(self) -> None:
        """Forgets what has been served."""

    def _served(self) -> Iterator[Any]:
        """What the inner loader gives in its next pass."""
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
        """What users read of a loader, such as `dataset` and `batch_size`."""
        # Lightning replaces a `sampler` that it sees if it does not like it; see `ExactLoader`.
        if name.startswith("_") or name in ("loader", "inner", "sampler", "batch_sampler"):
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")
        return getattr(self.loader, name)

    # A loader with these two is one that Lightning knows it can resume. They have nothing to keep:
    # `ExactLoaders` keeps where all loaders stand, since Lightning does not give a loader its
    # state back where a schedule has asked for the number of steps.
    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Has nothing to load."""
        del state


_END = object()


def as_it_is(batch: Any) -> Any:
    """In place of a collate function, where the data set gives batches."""
    return batch


def rebuilt(
    loader: "DataLoader[Any]", dataset: Any, batch_sampler: Any, workers: int
) -> "DataLoader[Any]":
    """A loader with the settings of another one, for a data set that makes whole batches."""
    return DataLoader(
        dataset,
        batch_sampler=batch_sampler,
        num_workers=workers,
        collate_fn=as_it_is,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout if workers else 0,
        worker_init_fn=partial(_init_worker, loader.worker_init_fn),
        multiprocessing_context=loader.multiprocessing_context if workers else None,
        generator=torch.Generator(),  # the global one stays untouched
        prefetch_factor=loader.prefetch_factor if workers else None,
        persistent_workers=loader.persistent_workers and workers > 0,
        pin_memory_device=getattr(loader, "pin_memory_device", ""),
    )


def _init_worker(then: Callable[[int], None] | None, worker: int) -> None:
    show_dataset()
    end_with_its_queue()
    if then is not None:
        then(worker)
