"""A map-style dataset that seeds all generators for each sample."""

from collections.abc import Callable, Sequence
from typing import Any

from torch.utils.data import Dataset, Subset, default_collate, default_convert

from arclight.data.exact.generators import held_generators, next_numbers, reseed
from arclight.data.exact.order import Key
from arclight.data.exact.randomness import seed_all, spread

COLLATE = 1 << 63
"""Added to the position of a batch's first sample: no sample has such a position."""

_DETERMINISTIC = (default_collate, default_convert)  # torch's own functions need no seed


class SeededSamples(Dataset[Any]):
    """Makes whole batches of a dataset, in the process that loads them.

    Before each sample, torch, numpy, `random` and the generators in the dataset are seeded by the
    sample's position in the global order; before collating, by the batch. So a batch depends
    neither on the process that makes it nor on earlier batches.

    A dataset with `__getitems__` makes all samples of a batch together, seeded by the first.

    Attributes:
        tries: return each batch with a flag: whether the dataset draws the same number of random
            numbers when its first sample is made again. A dataset that caches random results does
            not.

    Args:
        dataset: the user's dataset.
        collate: makes a batch from a list of samples.
        batched: whether keys have lists of indices; otherwise, they have one index, and `collate`
            converts a sample.
    """

    def __init__(self, dataset: Any, collate: Callable[[Any], Any], batched: bool) -> None:
        self.dataset, self.collate, self.batched = dataset, collate, batched
        self.tries = False
        self._held: list[Any] = []
        self._base: int | None = None  # identifies the pass in which `_held` was found
        self._untried = {"sample", "batch"}

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, key: Key) -> Any:
        if self.tries:
            equal = self._draws_again(key)
            return self._batch(key), equal
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
        if self.collate in _DETERMINISTIC:
            return self.collate(samples)
        seed = spread(key.base, key.positions[0] + COLLATE)
        return self._made("batch", seed, lambda: self.collate(samples))

    def _begin(self, key: Key) -> None:
        """Prepares the first batch of a pass in this process."""
        _, _, base, epoch = key
        if base != self._base:  # done here, so that it comes after the user's worker_init_fn
            self._base = base
            self._held = held_generators(self.dataset, self.collate)
            if epoch is not None and callable(
                set_epoch := getattr(self.dataset, "set_epoch", None)
            ):
                set_epoch(epoch)

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
            if len(self._held) != len(before):  # the first sample created generators
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
    """Whether the dataset itself defines `__getitems__`; `Subset` defines it for any dataset."""
    while type(dataset) is Subset:
        dataset = dataset.dataset
    return callable(getattr(dataset, "__getitems__", None))
