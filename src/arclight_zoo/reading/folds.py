"""Cross-validation: split the training data into k folds, and test on one of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arclight.errors import UserError
from arclight.seeds import mix
from arclight_zoo.reading.splits import Rows, hold_out, require_taken


def require_fold(fold: int, folds: int | None) -> None:
    """Raises `UserError` if the fold does not exist."""
    if folds is None and fold:
        raise UserError(f"data.fold={fold} needs the number of folds: type data.folds=5.")
    if folds is not None and folds < 2:
        raise UserError(f"data.folds={folds} should be 2 or more, or null.")
    if folds is not None and fold >= folds:
        raise UserError(
            f"data.fold={fold} should be from 0 to {folds - 1} with data.folds={folds}."
        )


def fold_of(labels: Rows, same: Rows, folds: int, seed: int) -> Rows:
    """The fold of each sample; folds have nearly equal sizes and class proportions.

    Samples with the same content or group share a fold, which the class of the first one decides.

    Args:
        labels: the class of each sample.
        same: a number for each sample, equal for samples that stay together.
        folds: how many.
        seed: of the shuffle.
    """
    random = np.random.Generator(np.random.Philox(key=mix("folds", seed)))
    groups, first, place, size = np.unique(
        same, return_index=True, return_inverse=True, return_counts=True
    )
    by_class, number = labels[first], np.zeros(len(groups), dtype=np.int64)
    taken = np.zeros(folds, dtype=np.int64)
    for label in np.unique(by_class):
        members = random.permutation(np.flatnonzero(by_class == label))
        here = np.zeros(folds, dtype=np.int64)
        for member in members[np.argsort(-size[members], kind="stable")]:
            fold = int(np.lexsort((taken, here))[0])  # the fewest of the class, then of all
            number[member] = fold
            here[fold] += size[member]
            taken[fold] += size[member]
    return number[place]


def carve_fold(
    labels: Rows, same: Rows, val_fraction: float, fold: int, folds: int, seed: int
) -> tuple[Rows, Rows, Rows]:
    """The rows to train, validate and test on; the test rows are the fold.

    The validation samples are `val_fraction` of the rest; 0 takes none.

    Raises:
        UserError: the fold or the validation set would be empty.
    """
    numbers = fold_of(labels, same, folds, seed)
    rows, test, val = np.flatnonzero(numbers != fold), np.flatnonzero(numbers == fold), np.arange(0)
    if not len(test) or not len(rows):
        raise UserError(
            f"data.folds={folds} leaves nothing in fold {fold} of {len(labels)} samples: type a "
            "smaller data.folds."
        )
    if val_fraction:
        why = "each class keeps one for training, and equal ones stay together"
        left = f"{len(rows)} samples"
        rows, val = hold_out(rows, labels, same, val_fraction, mix("val", seed))
        require_taken("val", val_fraction, len(val), left, why)
    return rows, val, test


def joined(same: Rows, groups: NDArray[np.int64] | None) -> Rows:
    """A number for each sample, equal for samples linked by content or group, also indirectly."""
    if groups is None:
        return same
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n = len(same)
    _, own = np.unique(groups, return_inverse=True)
    ends = np.concatenate([same, n + own])  # edges to the first equal sample and to the group
    starts = np.concatenate([np.arange(n), np.arange(n)])
    total = n + int(own.max(initial=0)) + 1
    edges = coo_matrix((np.ones(2 * n), (starts, ends)), shape=(total, total))
    found: Rows = connected_components(edges, directed=False)[1][:n].astype(np.int64)
    return found


def group_numbers(cells: Sequence[Any]) -> NDArray[np.int64]:
    """The values of a group column as numbers; a row without a group is its own group."""
    known: dict[Any, int] = {}
    numbers = [
        -1 - row if cell is None else known.setdefault(str(cell), len(known))
        for row, cell in enumerate(cells)
    ]
    return np.array(numbers, dtype=np.int64)
