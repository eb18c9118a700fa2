"""Seed torch, numpy and `random` for one sample, and restore their state afterwards."""

import random
from typing import Any

import numpy as np
import torch

_MASK = (1 << 64) - 1
_numpy: Any = np.random  # its stubs lack two public functions


class Stream:
    """Generators of torch, `random` and numpy that can temporarily replace the global ones.

    Args:
        key: their seed.
    """

    def __init__(self, key: int) -> None:
        self.numpy = np.random.MT19937()
        with isolated(self):
            seed_all(key)

    torch: Any = None
    random: Any = None


class isolated:  # noqa: N801  # used like `contextlib.suppress`
    """Restores the global generators at the end of the block.

    One exception: if numpy's `randn` has computed a pair of numbers and returned the first, the
    second is lost. Reading it takes numpy 60 microseconds, so numpy's generator is exchanged
    instead of copied (all three together take 12 microseconds).

    Args:
        stream: generators to use within the block; they continue in the next block.
    """

    def __init__(self, stream: Stream | None = None) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        self.before = (
            torch.default_generator.get_state(),
            random.getstate(),
            _numpy.get_bit_generator(),
        )
        if self.stream is None:
            self.numpy = _spare.pop() if _spare else np.random.MT19937()
        else:
            self.numpy = self.stream.numpy
            if self.stream.torch is not None:
                torch.default_generator.set_state(self.stream.torch)
                random.setstate(self.stream.random)
        _numpy.set_bit_generator(self.numpy)

    def __exit__(self, *_: object) -> None:
        if self.stream is None:
            _spare.append(self.numpy)
        else:
            self.stream.torch = torch.default_generator.get_state()
            self.stream.random = random.getstate()
        torch.default_generator.set_state(self.before[0])
        random.setstate(self.before[1])
        _numpy.set_bit_generator(self.before[2])


_spare: list[np.random.MT19937] = []  # creating one takes longer than everything else


def spread(base: int, n: int) -> int:
    """Returns the n-th 64-bit key of the sequence from `base` (SplitMix64, Steele et al., 2014).

    It takes a tenth of the time of a hash; the keys for all n below 2**64 are different.
    """
    z = (base + (n + 1) * 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


_random: Any = vars(random)["seed"].__self__
"""The generator behind the functions of `random`."""
_seed_random = super(random.Random, _random).seed
"""Called by `random.seed` after a check of the seed's type, which takes half of the time."""


def seed_all(key: int) -> None:
    """Seeds torch's CPU generator, `random` and numpy's legacy generator."""
    # torch.manual_seed would also format the stack for each type of device, which takes 0.5 ms.
    torch.default_generator.manual_seed(key)
    _seed_random(key)
    _random.gauss_next = None
    np.random.seed(key & 0xFFFFFFFF)
