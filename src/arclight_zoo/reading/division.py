"""The division of a data set into training, validation and test."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from arclight.data.module import require_fractions
from arclight_zoo.reading.folds import carve_fold, require_fold
from arclight_zoo.reading.splits import Rows, carve, choose_splits, used_splits

STAGES = ("train", "val", "test")


@dataclass(frozen=True)
class Division:
    """Which splits of a source are used, and how missing ones are taken from the training split.

    Attributes:
        names: the splits to train, validate and test on; None: found by name, or taken from the
            training rows.
        fractions: of validation and test.
        seed: of the random splits.
        fold: the part to test on, instead of the test split.
        folds: number of parts for cross-validation; None: no cross-validation.

    Raises:
        UserError: a fraction or the fold is invalid.
    """

    names: tuple[str | None, str | None, str | None] = (None, None, None)
    fractions: tuple[float, float] = (0.0, 0.0)
    seed: int = 0
    fold: int = 0
    folds: int | None = None

    def __post_init__(self) -> None:
        val, test = self.fractions
        require_fractions(val_fraction=val, test_fraction=test)
        require_fold(self.fold, self.folds)

    def wanted(self, names: Collection[str]) -> list[str]:
        """The splits of a source that are used; others are not read."""
        return used_splits(names, self.names, self.folds)

    def found(self, names: Collection[str]) -> dict[str, str]:
        """The source's split for each stage that has one; a fold replaces that of the test."""
        chosen = zip(STAGES, choose_splits(names, *self.names), strict=True)
        found = {stage: name for stage, name in chosen if name is not None}
        if self.folds is not None:
            found.pop("test", None)
        return found

    def shares(self, found: Collection[str]) -> tuple[float, float]:
        """The fractions of validation and test that are taken from the training split."""
        val, test = self.fractions
        return 0.0 if "val" in found else val, 0.0 if "test" in found else test

    def rows(
        self, found: Collection[str], strata: Rows, same: Callable[[], Rows]
    ) -> dict[str, Rows]:
        """Rows of the training split for "train", and for each stage without a split of its own.

        Args:
            found: the stages that have a split, see `found`.
            strata: the class of each training row; each class is divided alike.
            same: returns a number for each row, equal for rows that stay together; called only if
                rows are taken from the training split.
        """
        val, test = self.shares(found)
        carved = np.arange(len(strata)), np.arange(0), np.arange(0)
        if self.folds is not None:
            carved = carve_fold(strata, same(), val, self.fold, self.folds, self.seed)
        elif val or test:
            carved = carve(strata, same(), val, test, self.seed)
        own = zip(STAGES, carved, strict=True)
        return {stage: rows for stage, rows in own if stage == "train" or stage not in found}

    def notes(self, path: str, found: Collection[str], sizes: dict[str, int], of: str) -> list[str]:
        """A sentence about splits that are taken from the training split.

        Args:
            path: of the data.
            found: the stages that have a split, see `found`.
            sizes: of all stages.
            of: what the samples are, such as "images".
        """
        if self.folds is not None:
            return [f"Fold {self.fold} of {self.folds} of the training {of} is the test split."]
        made = [stage for stage in STAGES[1:] if stage not in found and sizes[stage]]
        if not made:
            return []
        return [
            f"{path} has no {' and no '.join(made)} split: "
            + " and ".join(f"{sizes[stage]:,} for {stage}" for stage in made)
            + f" are taken from its training {of} ("
            + ", ".join(f"data.{stage}_fraction" for stage in made)
            + ")."
        ]
