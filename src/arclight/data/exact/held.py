"""Generators that datasets, transforms and samplers hold as attributes, and their seeds.

Seeding the global generators does not reach a `np.random.default_rng()` that a transform keeps.
"""

import functools
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from arclight.data.exact.randomness import spread

DEPTH = 6
"""Steps from object to attribute or element, as in `dataset.transform.transforms[0].inner.rng`."""
_ELEMENTS = 64  # of a container: transforms are few, and a longer list is data
_OBJECTS = 10_000
GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
_OF_TORCH = frozenset(vars(nn.Module()))
_LEAVES = (str, bytes, int, float, complex, bool, type(None), type, Tensor, np.ndarray)


def held_generators(*holders: object) -> list[Any]:
    """The generators among the attributes of these objects, each once, in a fixed order.

    Looks into attributes, `__slots__` excepted, into the first elements of lists, tuples and
    dictionaries, partial functions, closures and the objects of bound methods.
    """
    seen: set[int] = {id(torch.default_generator)}
    found: list[Any] = []
    level: list[object] = list(holders)
    for _ in range(DEPTH + 1):
        following: list[object] = []
        for item in level:
            if isinstance(item, _LEAVES) or id(item) in seen or len(seen) > _OBJECTS:
                continue
            seen.add(id(item))
            if isinstance(item, GENERATORS):
                if not _is_global(item):
                    found.append(item)
                continue
            following.extend(_parts(item))
        level = following
    return found


def _is_global(generator: object) -> bool:
    """Whether it is the one behind `np.random` or `random`, which `seed_all` has seeded."""
    bound = (np.random.seed, random.seed)
    return any(getattr(function, "__self__", None) is generator for function in bound)


def _parts(item: object) -> Iterator[object]:
    if isinstance(item, dict):
        yield from _first(item.values())
    elif isinstance(item, (list, tuple)):
        yield from _first(item)
    elif isinstance(item, functools.partial):
        yield from (item.func, *item.args, *item.keywords.values())
    elif isinstance(item, nn.Module):  # not in its parameters, nor in what torch keeps in it
        yield from item.children()
        yield from [value for key, value in vars(item).items() if key not in _OF_TORCH]
    elif callable(item) and hasattr(item, "__code__"):
        if (owner := getattr(item, "__self__", None)) is not None:
            yield owner
        for cell in getattr(item, "__closure__", None) or ():
            try:
                yield cell.cell_contents
            except ValueError:  # not yet assigned
                continue
    elif hasattr(item, "__dict__") and not _is_module(item):
        yield from list(vars(item).values())


def _first(items: Iterable[object]) -> Iterator[object]:
    for i, item in enumerate(items):
        if i == _ELEMENTS:
            return
        yield item


def _is_module(item: object) -> bool:
    return type(item).__name__ == "module"


def reseed(generators: Sequence[Any], key: int) -> None:
    """Seeds each of the generators with a key of its own."""
    for i, generator in enumerate(generators):
        seed = spread(key, i)
        if isinstance(generator, torch.Generator):
            generator.manual_seed(seed)
        elif isinstance(generator, random.Random):
            generator.seed(seed)
        elif isinstance(generator, np.random.RandomState):
            generator.seed(seed & 0xFFFFFFFF)
        else:
            _reseed_bits(generator.bit_generator, seed)


def _reseed_bits(bits: Any, seed: int) -> None:
    if type(bits) is not np.random.PCG64:
        bits.state = type(bits)(seed).state
        return
    # numpy's default, without 20 microseconds of hashing
    state = spread(seed, 0) << 64 | spread(seed, 1)
    increment = spread(seed, 2) << 64 | spread(seed, 3) | 1  # must be odd
    pcg: Any = {"state": state, "inc": increment}
    bits.state = {"bit_generator": "PCG64", "state": pcg, "has_uint32": 0, "uinteger": 0}
