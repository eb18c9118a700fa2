"""Read an `IterableDataset` in one process: seeded for each sample, with its state per batch."""

import pickle
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from torch.utils.data import Dataset

from arclight.data.exact.generators import held_generators, reseed
from arclight.data.exact.randomness import seed_all, spread

BEGIN, COLLATE = 1 << 62, 1 << 63  # no sample has such a number


class Shard(NamedTuple):
    """The position of one process in its part of the data.

    Attributes:
        samples: the number of samples read in this pass.
        state: the pickled state of the dataset after them; None if it has no state.
        ended: whether there are no more samples.
    """

    samples: int = 0
    state: bytes | None = None
    ended: bool = False


class Turn(NamedTuple):
    """A request for the next batch of a process.

    Attributes:
        number: the number of the pass.
        base: the first key of the pass in this process.
        epoch: the epoch, for datasets with `set_epoch`; None in evaluation.
        begin: the position to start from; None if the pass has started.
        idle: whether this process should not return a batch yet.
    """

    number: int
    base: int
    epoch: int | None
    begin: Shard | None
    idle: bool


class Read(NamedTuple):
    """The response: a batch, unless the process was idle or at its end, and the position."""

    batch: Any
    has: bool
    shard: Shard


class SeededStream(Dataset[Any]):
    """Makes batches of an iterable dataset, in the process that reads it.

    A `DataLoader` uses it as a map-style dataset with `Turn`s as indices. So a process, also a
    persistent one, gets its start position with the request and returns its position with each
    batch.
    """

    def __init__(
        self,
        dataset: Any,
        collate: Callable[[Any], Any],
        batch_size: int | None,
        drop_last: bool,
    ) -> None:
        self.dataset, self.collate = dataset, collate
        self.batch_size, self.drop_last = batch_size, drop_last
        self._number, self._count = -1, 0
        self._shard = Shard()
        self._samples: Iterator[Any] = iter(())
        self._held: list[Any] = []
        self._first: bytes | None = None  # the state at the start of every pass
        self._was_set = False

    def __getitems__(self, turn: Turn) -> Read:
        if turn.number != self._number:
            self._begin(turn)
        if turn.idle or self._shard.ended:
            return Read(None, False, self._shard)
        wanted, samples = self.batch_size or 1, list[Any]()
        while len(samples) < wanted and (sample := self._next(turn.base)) is not _END:
            samples.append(sample)
        ended = len(samples) < wanted
        self._shard = Shard(self._count, None if ended else self._state(), ended)
        if not samples or (ended and self.drop_last):
            return Read(None, False, self._shard)
        self._seed(spread(turn.base, self._count + COLLATE))
        batch = self.collate(samples if self.batch_size is not None else samples[0])
        return Read(batch, True, self._shard)

    def _begin(self, turn: Turn) -> None:
        self._number, self._shard = turn.number, turn.begin or Shard()
        if self._shard.ended:
            return
        if turn.epoch is not None and callable(
            set_epoch := getattr(self.dataset, "set_epoch", None)
        ):
            set_epoch(turn.epoch)
        self._held = held_generators(self.dataset, self.collate)
        self._seed(spread(turn.base, BEGIN))
        state = unpacked(self._shard.state)
        if has_state(self.dataset):
            self._set_state(state)
        self._samples = iter(self.dataset)
        if state is not None and not has_state(self.dataset):
            self._samples.load_state_dict(state)  # type: ignore[attr-defined]
        self._held = held_generators(self.dataset, self.collate, self._samples)
        self._count = 0 if state is None else self._shard.samples
        while self._count < self._shard.samples:  # without a state, read the samples again
            if self._next(turn.base) is _END:
                return

    def _set_state(self, state: Any) -> None:
        if self._first is None:
            self._first = pickle.dumps(self.dataset.state_dict())
        first = pickle.loads(self._first)
        if state is not None:
            self.dataset.load_state_dict(state)
        elif first is not None or self._was_set:  # Hugging Face's state is None before reading
            self.dataset.load_state_dict(first)
        self._was_set = state is not None

    def _next(self, base: int) -> Any:
        self._seed(spread(base, self._count))
        sample = next(self._samples, _END)
        self._count += sample is not _END
        return sample

    def _seed(self, key: int) -> None:
        seed_all(key)
        if self._held:
            reseed(self._held, key)

    def _state(self) -> bytes | None:
        holders: tuple[Any, ...] = (self.dataset, self._samples)
        for holder in holders:
            if has_state(holder):
                return packed(holder.state_dict())
        return None


_END = object()


def has_state(holder: object) -> bool:
    """Whether it has `state_dict` and `load_state_dict`."""
    return callable(getattr(holder, "state_dict", None)) and callable(
        getattr(holder, "load_state_dict", None)
    )


def packed(state: Any) -> bytes | None:
    """Pickles a copy of a state; it never leaves the run's processes."""
    return None if state is None else pickle.dumps(state)


def unpacked(state: bytes | None) -> Any:
    """Unpickles a state from `packed`."""
    return None if state is None else pickle.loads(state)
