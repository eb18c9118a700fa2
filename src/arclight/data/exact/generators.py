"""Find and seed the random generators in datasets, transforms and samplers.

Seeding the global generators does not seed a `np.random.default_rng()` in a transform.
"""

import functools
import random
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from types import FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from arclight.data.exact.randomness import spread

DEPTH = 12
"""Depth of the search in attributes and elements: `dataset.transform.transforms[0].rng` is four."""
_ELEMENTS = 64  # searched in a container; longer lists are data, not transforms
_OBJECTS = 10_000
GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
_OF_TORCH = frozenset(vars(nn.Module()))
_LEAVES = (str, bytes, int, float, complex, bool, type(None), type, Tensor, np.ndarray)
_METHODS = (FunctionType, staticmethod, classmethod, property)


def held_generators(*holders: object) -> list[Any]:
    """Returns the generators in the attributes of these objects, each once, in a fixed order.

    Searches attributes of objects and classes, the first elements of lists, tuples and
    dictionaries, partial functions, closures, the objects of bound methods, and the global names of
    the modules that define the objects found.
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
                if not _is_settled(item):
                    found.append(item)
                continue
            following.extend(chain(_parts(item), _of_class(item), _of_module(item, seen)))
        level = following
    return found


def _is_settled(generator: object) -> bool:
    """Whether it needs no seed: `seed_all` seeds it, or it cannot be seeded."""
    if isinstance(generator, random.SystemRandom):
        return True
    bound = (np.random.seed, random.seed)
    return any(getattr(function, "__self__", None) is generator for function in bound)


def _parts(item: object) -> Iterator[object]:
    if isinstance(item, dict):
        yield from _first(item.values())
    elif isinstance(item, (list, tuple)):
        yield from _first(item)
    elif isinstance(item, functools.partial):
        yield from (item.func, *item.args, *item.keywords.values())
    elif isinstance(item, nn.Module):  # without its parameters and torch's own attributes
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


def _of_class(item: object) -> Iterator[object]:
    """Attributes of its classes, and its own attributes in `__slots__`."""
    for kind in type(item).__mro__:
        if kind.__module__ == "builtins":
            continue
        for name, value in list(vars(kind).items()):
            if not (name.startswith("__") or isinstance(value, _METHODS)):
                yield value
        slots = vars(kind).get("__slots__", ())
        yield from [getattr(item, s, None) for s in ([slots] if isinstance(slots, str) else slots)]


def _of_module(item: object, seen: set[int]) -> Iterator[object]:
    """Generators among the global names of its modules; each module is searched once."""
    names = [kind.__module__ for kind in type(item).__mro__]
    spaces: list[Mapping[str, Any]] = [vars(sys.modules[n]) for n in names if n in sys.modules]
    if callable(item) and hasattr(item, "__globals__"):
        spaces.append(item.__globals__)
    for space in spaces:
        if id(space) not in seen:
            seen.add(id(space))
            yield from [value for value in list(space.values()) if isinstance(value, GENERATORS)]


def _first(items: Iterable[object]) -> Iterator[object]:
    for i, item in enumerate(items):
        if i == _ELEMENTS:
            return
        yield item


def _is_module(item: object) -> bool:
    return type(item).__name__ == "module"


def reseed(generators: Sequence[Any], key: int) -> None:
    """Seeds each of the generators with a different key."""
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
    # numpy's default generator, without 20 microseconds of hashing the seed
    state = spread(seed, 0) << 64 | spread(seed, 1)
    increment = spread(seed, 2) << 64 | spread(seed, 3) | 1  # must be odd
    pcg: Any = {"state": state, "inc": increment}
    bits.state = {"bit_generator": "PCG64", "state": pcg, "has_uint32": 0, "uinteger": 0}


def next_numbers(generators: Sequence[Any]) -> tuple[float, ...]:
    """Draws a number from each of these generators and from the global ones.

    If the numbers differ between two calls after the same seed, other numbers were drawn between.
    """
    own = [
        float(torch.rand(1, generator=g, device=g.device))
        if isinstance(g, torch.Generator)
        else float(g.random())
        for g in generators
    ]
    return (float(torch.rand(1)), float(np.random.random()), random.random(), *own)
