"""Compare batches and samplers, to find data that seeds cannot repeat."""

import hashlib
import pickle
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arclight.data.exact.generators import GENERATORS

_UNSEEN = ("data_source", "dataset")  # attributes with the data of a sampler, not its settings


def fingerprint(sampler: object) -> bytes | None:
    """Returns a digest of a sampler's attributes without generators; None if one has no pickle.

    If it changes during training, the order depends on something that is not in the checkpoint,
    such as the loss of each sample.
    """
    digest = hashlib.blake2b(digest_size=16)
    takes_epoch = hasattr(sampler, "set_epoch")
    for holder in (sampler, getattr(sampler, "sampler", None)):
        for name, value in sorted(vars(holder).items()) if hasattr(holder, "__dict__") else ():
            is_epoch = takes_epoch and name == "epoch"
            if isinstance(value, GENERATORS) or name in _UNSEEN or is_epoch:
                continue
            if name.startswith("__"):  # arguments of the constructor, stored by Lightning
                continue
            if name == "sampler":
                takes_epoch = hasattr(value, "set_epoch")
                continue
            try:
                plain = value.numpy(force=True) if isinstance(value, Tensor) else value
                digest.update(name.encode() + pickle.dumps(plain))
            except Exception:  # a user's attribute may raise anything when it is pickled
                return None
    return digest.digest()


def same(one: Any, two: Any) -> bool:
    """Whether two batches are equal; numbers are compared bit by bit."""
    if type(one) is not type(two):
        return False
    if isinstance(one, Tensor):
        return _tensors(one, two)
    if isinstance(one, np.ndarray):
        comparable = one.dtype == two.dtype and one.shape == two.shape
        return bool(comparable and one.tobytes() == two.tobytes())
    if isinstance(one, Mapping):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return _all(one, two)
    try:
        return bool(one == two) or pickle.dumps(one) == pickle.dumps(two)
    except Exception:  # the type can neither be compared nor pickled
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
