"""Compute the length and a fingerprint of any dataset, from the arrays in its attributes.

Samples are not read, since transforms may be random, differ between machines in the last bit, or
fill a cache. Attributes are read before the first sample. So the fingerprint of the same data is
the same on every machine, at any time of the run. For data that only have file names, it is a
fingerprint of the names; some datasets have none.
"""

import hashlib
import os
from collections.abc import Iterator, Sized
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

VERSION = "held1"
"""Prefix of the fingerprints; those of different versions are not compared."""
_ROWS, _BYTES, _DEPTH = 64, 4096, 4
_PLAIN = (str, bytes, int, float, bool, type(None))


class Identity(NamedTuple):
    """The identity of a dataset.

    Attributes:
        size: the number of samples; None if it is unknown.
        fingerprint: a digest of its attributes; empty if there is nothing to identify it by.
    """

    size: int | None
    fingerprint: str


def identity(dataset: object) -> Identity:
    """Returns the identity of a dataset, without reading samples or drawing random numbers."""
    if isinstance(dataset, IterableDataset) or not isinstance(dataset, Sized):
        return Identity(None, "")
    try:
        size = len(dataset)
    except (TypeError, NotImplementedError):
        return Identity(None, "")
    digest, found = hashlib.sha256(f"{type(dataset).__qualname__} {size}".encode()), 0
    for name, content in _held(dataset, "", 0):
        digest.update(f"|{name}|".encode() + content)
        found += 1
    return Identity(size, f"{VERSION}-{digest.hexdigest()}" if found else "")


def _held(holder: object, path: str, depth: int) -> Iterator[tuple[str, bytes]]:
    """The contents of a dataset's attributes, in the order of their names."""
    for name, value in sorted(getattr(holder, "__dict__", {}).items()):
        if name.startswith("_") or "cache" in name.lower():  # may fill while it is read
            continue
        yield from _content(value, f"{path}.{name}", depth)


def _content(value: Any, path: str, depth: int) -> Iterator[tuple[str, bytes]]:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and value.dtype.isnative:
        yield path, f"{value.dtype} {value.shape}".encode() + _rows(value)
    elif isinstance(value, Tensor) and value.layout == torch.strided and value.device.type == "cpu":
        if not (value.is_quantized or value.is_complex()):
            yield path, f"{value.dtype} {tuple(value.shape)}".encode() + _rows(value.detach())
    elif isinstance(value, Dataset) and depth < _DEPTH:
        yield from _held(value, path, depth + 1)
    elif isinstance(value, (list, tuple)) and value:
        some = [value[i] for i in _spread(len(value))]
        if all(isinstance(one, (np.ndarray, Tensor, Dataset)) for one in value[:_ROWS]):
            for i, one in enumerate(value[:_ROWS]):
                yield from _content(one, f"{path}[{i}]", depth + 1)
        elif all(_is_plain(one) for one in some):
            yield path, repr((len(value), [_portable(one) for one in some])).encode()


def _rows(array: Any) -> bytes:
    """Parts of some rows of an array or tensor, to read few pages of a memory-mapped file."""
    if not array.ndim:
        return _bytes(array.reshape(1))
    return b"".join(_bytes(array[i].reshape(-1)[:_BYTES]) for i in _spread(len(array)))


def _bytes(flat: Any) -> bytes:
    if isinstance(flat, Tensor):
        flat = flat.contiguous().view(torch.uint8).numpy()
    return bytes(np.ascontiguousarray(flat).tobytes())


def _spread(length: int) -> list[int]:
    """The first and last index and some between, evenly spaced."""
    if length <= _ROWS:
        return list(range(length))
    return [i * (length - 1) // (_ROWS - 1) for i in range(_ROWS)]


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_is_plain(one) for one in value)
    return isinstance(value, (*_PLAIN, np.integer, np.floating))


def _portable(value: Any) -> Any:
    """A plain value; file names lose their folders, which differ between machines."""
    if isinstance(value, tuple):
        return tuple(_portable(one) for one in value)
    if isinstance(value, str):
        return os.path.basename(value)
    return value.item() if isinstance(value, (np.integer, np.floating)) else value
