"""Whether data can be repeated at all: what no seed reaches is found, and said."""

import hashlib
import pickle
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arclight.data.exact.held import GENERATORS

_UNSEEN = ("data_source", "dataset")  # what a sampler is about, not how it draws


def fingerprint(sampler: object) -> bytes | None:
    """A digest of a sampler's attributes, generators aside; None where they have no such form.

    If it changes while training, the order follows from something that no checkpoint keeps, such
    as the loss of each sample.
    """
    digest = hashlib.blake2b(digest_size=16)
    told = hasattr(sampler, "set_epoch")
    for holder in (sampler, getattr(sampler, "sampler", None)):
        for name, value in sorted(vars(holder).items()) if hasattr(holder, "__dict__") else ():
            if isinstance(value, GENERATORS) or name in _UNSEEN or (told and name == "epoch"):
                continue
            if name.startswith("__"):  # Lightning's notes of the constructor's arguments
                continue
            if name == "sampler":
                told = hasattr(value, "set_epoch")
                continue
            try:
                plain = value.numpy(force=True) if isinstance(value, Tensor) else value
                digest.update(name.encode() + pickle.dumps(plain))
            except Exception:  # whatever a user's attribute raises: it cannot be looked at
                return None
    return digest.digest()


def same(one: Any, two: Any) -> bool:
    """Whether two batches are equal, bit by bit as far as they consist of numbers."""
    if type(one) is not type(two):
        return False
    if isinstance(one, Tensor):
        return _tensors(one, two)
    if isinstance(one, np.ndarray):
        alike = one.dtype == two.dtype and one.shape == two.shape
        return bool(alike and one.tobytes() == two.tobytes())
    if isinstance(one, Mapping):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return _all(one, two)
    try:
        return bool(one == two) or pickle.dumps(one) == pickle.dumps(two)
    except Exception:  # of a type that can be neither compared nor pickled nothing is known
        return True


def _all(one: Iterable[Any], two: Iterable[Any]) -> bool:
    ones, twos = list(one), list(two)
    return len(ones) == len(twos) and all(map(same, ones, twos))


def _tensors(one: Tensor, two: Tensor) -> bool:
    if one.dtype != two.dtype or one.shape != two.shape:
        return False
    if one.layout != torch.strided:
        return _tensors(one.to_dense(), two.to_dense())
    return bool(((one == two) | ((one != one) & (two != two))).all())
