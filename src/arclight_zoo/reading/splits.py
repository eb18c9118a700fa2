"""Choose the samples to train, validate and test on, as a pure function of the data and a seed."""

import hashlib
from collections.abc import Callable, Collection, Iterable

import numpy as np
from numpy.typing import NDArray

from arclight.errors import UserError
from arclight.seeds import mix

Rows = NDArray[np.int64]
Wanted = Callable[[Collection[str]], Collection[str]]
"""Chooses the splits of a source to open, given their names."""

TRAIN_NAMES = ("train", "training")
VAL_NAMES = ("val", "validation", "valid", "dev")
TEST_NAMES = ("test", "testing")


def choose_splits(
    names: Collection[str], train: str | None, val: str | None, test: str | None
) -> tuple[str, str | None, str | None]:
    """The names of the splits to train, validate and test on; None where there is no such split.

    A given name must exist. For None, the usual names are tried, except those already in use.

    Raises:
        UserError: a given name does not exist, or none looks like training data.
    """
    known = ", ".join(names)
    for key, given in (("train_split", train), ("val_split", val), ("test_split", test)):
        if given is not None and given not in names:
            raise UserError(f"data.{key}={given} is not a split of the data: type one of {known}.")
    taken = {train, val, test}

    def find(usual: Iterable[str]) -> str | None:
        lower = {name.lower(): name for name in names if name not in taken}
        return next((lower[name] for name in usual if name in lower), None)

    train = train or find(TRAIN_NAMES) or (next(iter(names)) if len(names) == 1 else None)
    if train is None:
        raise UserError(
            f"None of the splits {known} is named train: type data.train_split=NAME with one."
        )
    return train, val or find(VAL_NAMES), test or find(TEST_NAMES)


def used_splits(
    names: Collection[str],
    chosen: tuple[str | None, str | None, str | None],
    folds: int | None = None,
) -> list[str]:
    """The splits used for training, validation or test; others are ignored.

    Args:
        names: of the source's splits.
        chosen: see `choose_splits`.
        folds: if given, one of them takes the place of a test split that is not named.
    """
    train, val, test = choose_splits(names, *chosen)
    used = (train, val, test if folds is None or chosen[2] else None)
    return [name for name in names if name in used]


def same_content(contents: Iterable[bytes]) -> Rows:
    """The index of the first item with the same content, for each item."""
    digests = [hashlib.blake2b(c, digest_size=16).digest() for c in contents]
    keys = np.frombuffer(b"".join(digests), dtype="V16")
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    return first[which]


def hold_out(rows: Rows, labels: Rows, same: Rows, fraction: float, key: int) -> tuple[Rows, Rows]:
    """Splits `rows` into (kept, held out), stratified by label.

    A class of two or more distinct samples is on both sides. Samples with the same content stay
    together; they count as the class of the first of them.

    Args:
        rows: indices into `labels` and `same`.
        labels: the class of each sample.
        same: a number for each sample, equal for samples with the same content.
        fraction: of each class to hold out.
        key: of the random number generator.
    """
    rng = np.random.Generator(np.random.Philox(key=key))
    groups, first, size = np.unique(same[rows], return_index=True, return_counts=True)
    by_class = labels[rows][first]
    held: list[Rows] = []
    for label in np.unique(by_class):
        members = rng.permutation(np.flatnonzero(by_class == label))
        upto = np.cumsum(size[members])
        wanted = fraction * upto[-1]
        count = int(np.searchsorted(upto, wanted - 0.5)) + 1
        count = min(count, len(members) - 1)
        held.append(groups[members[:count]])
    is_held = np.isin(same[rows], np.concatenate([groups[:0], *held]))
    return rows[~is_held], rows[is_held]


def carve(
    labels: Rows, same: Rows, val_fraction: float, test_fraction: float, seed: int
) -> tuple[Rows, Rows, Rows]:
    """Splits the training split into rows to train, validate and test on.

    The test rows are `test_fraction` of all, the validation rows `val_fraction` of the rest;
    a fraction of 0 takes none.

    Raises:
        UserError: a fraction above 0 takes no row.
    """
    why = "each class keeps one for training, and equal ones stay together"
    rows, test, val = np.arange(len(labels)), np.arange(0), np.arange(0)
    if test_fraction:
        rows, test = hold_out(rows, labels, same, test_fraction, mix("test", seed))
        require_taken("test", test_fraction, len(test), f"{len(labels)} samples", why)
    if val_fraction:
        left = f"{len(rows)} samples"
        rows, val = hold_out(rows, labels, same, val_fraction, mix("val", seed))
        require_taken("val", val_fraction, len(val), left, why)
    return rows, val, test


def require_taken(stage: str, fraction: float, taken: int, whole: str, why: str) -> None:
    """Raises `UserError` if a fraction of the data takes no sample.

    Args:
        stage: "val" or "test".
        fraction: above 0.
        taken: number of samples it takes.
        whole: what it is taken from, such as `20 samples`.
        why: the reason, for the message.
    """
    if not taken:
        raise UserError(
            f"data.{stage}_fraction={fraction} takes none of {whole} ({why}): add data, type a "
            f"larger data.{stage}_fraction, or type data.{stage}_fraction=0 to do without."
        )


def limited(rows: Rows, limit: int | None, seed: int) -> Rows:
    """A random subset of `limit` rows, in their original order; all rows for None."""
    if limit is None or limit >= len(rows):
        return rows
    rng = np.random.Generator(np.random.Philox(key=mix("limit", seed, len(rows))))
    return np.sort(rng.permutation(rows)[:limit])
