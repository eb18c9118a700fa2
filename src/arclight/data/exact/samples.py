"""A map-style data set that finds the generators seeded for each sample that it makes."""

from collections.abc import Callable, Sequence
from typing import Any

from torch.utils.data import Dataset, Subset, default_collate, default_convert

from arclight.data.exact.held import held_generators, next_numbers, reseed
from arclight.data.exact.order import Key
from arclight.data.exact.randomness import seed_all, spread

COLLATE = 1 << 63
"""Added to the position of a batch's first sample: no sample has such a position."""

_WITHOUT_CHANCE = (default_collate, default_convert)  # torch's own; seeding for them is in vain


class SeededSamples(Dataset[Any]):
    """Makes whole batches of a data set, in the process that loads them.

    A sample finds torch, numpy, `random` and the generators that the data set holds seeded by its
    position in the global order. The function that collates finds them seeded by the batch. So
    what a batch is depends neither on the process that makes it nor on what was made before.

    A data set with `__getitems__` makes all samples of a batch at once, seeded by the first.

    Attributes:
        tries: give each batch with whether the data set draws the same numbers for its first sample
            when that is made once more; a data set that keeps what it has drawn does not.

    Args:
        dataset: the user's.
        collate: makes a batch of a list of samples.
        batched: keys are of lists of indices; else of one index, and `collate` converts a sample.
    """

    def __init__(self, dataset: Any, collate: Callable[[Any], Any], batched: bool) -> None:
        self.dataset, self.collate, self.batched = dataset, collate, batched
        self.tries = False
        self._held: list[Any] = []
        self._base: int | None = None  # of the pass for which they were found
        self._untried = {"sample", "batch"}

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, key: Key) -> Any:
        if self.tries:
            alike = self._draws_again(key)
            return self._batch(key), alike
        return self._batch(key)

    def _draws_again(self, key: Key) -> bool:
        first = key
        if self.batched and not makes_many(self.dataset):
            first = key._replace(indices=key.indices[:1], positions=key.positions[:1])
        drawn = []
        self._begin(first)
        for _ in range(2):
            self._samples(first)
            drawn.append(next_numbers(self._held))
        return drawn[0] == drawn[1]

    def _batch(self, key: Key) -> Any:
        self._begin(key)
        samples = self._samples(key)
        if self.collate in _WITHOUT_CHANCE:
            return self.collate(samples)
        seed = spread(key.base, key.positions[0] + COLLATE)
        return self._made("batch", seed, lambda: self.collate(samples))

    def _begin(self, key: Key) -> None:
        """What belongs to the first batch of a pass in this process."""
        _, _, base, epoch = key
        if base != self._base:  # here, since workers begin after the user's worker_init_fn
            self._base = base
            self._held = held_generators(self.dataset, self.collate)
            if epoch is not None and callable(tell := getattr(self.dataset, "set_epoch", None)):
                tell(epoch)

    def _samples(self, key: Key) -> Any:
        indices, positions, base, _ = key
        first = spread(base, positions[0])
        if not self.batched:
            return self._made("sample", first, lambda: self.dataset[indices])
        if makes_many(self.dataset):
            return self._made("sample", first, lambda: self.dataset.__getitems__(indices))
        return self._each(indices, positions, base)

    def _each(self, indices: Sequence[Any], positions: Sequence[int], base: int) -> list[Any]:
        dataset, samples, start = self.dataset, [], 0
        if "sample" in self._untried:
            made = self._made("sample", spread(base, positions[0]), lambda: dataset[indices[0]])
            samples, start = [made], 1
        held = self._held
        for index, position in zip(indices[start:], positions[start:], strict=True):
            key = spread(base, position)
            seed_all(key)
            if held:
                reseed(held, key)
            samples.append(dataset[index])
        return samples

    def _made(self, what: str, key: int, make: Callable[[], Any]) -> Any:
        self._seed(key)
        made = make()
        if what in self._untried:
            self._untried.remove(what)
            before, self._held = self._held, held_generators(self.dataset, self.collate)
            if len(self._held) != len(before):  # some are made with the first sample
                self._seed(key)
                made = make()
        return made

    def _seed(self, key: int) -> None:
        seed_all(key)
        if self._held:
            reseed(self._held, key)

    def __getstate__(self) -> dict[str, Any]:
        # In a spawned worker the generators are other objects.
        return {**self.__dict__, "_held": [], "_base": None}


def makes_many(dataset: Any) -> bool:
    """Whether `__getitems__` is the data set's own: a `Subset` has one for any data set."""
    while type(dataset) is Subset:
        dataset = dataset.dataset
    return callable(getattr(dataset, "__getitems__", None))
