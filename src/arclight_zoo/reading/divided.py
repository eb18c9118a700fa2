"""The base of data modules that divide their samples among training, validation and test."""

from abc import ABC

from arclight.data.module import DataModule, require_counts
from arclight.ranges import Count, Natural, Seed, Share
from arclight_zoo.reading.division import Division


class DividedData(DataModule, ABC):
    """A data module with splits by name, random splits, and cross-validation.

    Attributes:
        division: the splits.

    Args:
        path: the name of the data in error messages.
        train_split: name of the split to train on; None: found by the usual names.
        val_split: name of the validation split; None: found by the usual names, or else
            `val_fraction` of the training split.
        test_split: name of the test split; None: found by the usual names, or else
            `test_fraction` of the training split.
        val_fraction: see `val_split`; stratified by class, if there are classes, and equal samples
            stay together.
        test_fraction: see `test_split`; taken before the validation samples. 0: no test split.
        split_seed: of the random splits; independent of the run's seed.
        folds: number of parts of the training split for cross-validation; `fold` is the one to
            test on, instead of the test split; None: no cross-validation.
        fold: see `folds`.
        limit: use this many samples of each split; None: all.
        batch_size: samples per optimizer step, over all processes and accumulated batches.
        eval_batch_size: samples per evaluation batch, over all processes; None: as in training.
        seed: the run's seed, for order and augmentation.

    Raises:
        UserError: an argument is invalid.
    """

    def __init__(
        self,
        path: str,
        train_split: str | None = None,
        val_split: str | None = None,
        test_split: str | None = None,
        val_fraction: Share = 0.1,
        test_fraction: Share = 0.1,
        split_seed: Seed = 0,
        folds: Count | None = None,
        fold: Natural = 0,
        limit: Count | None = None,
        batch_size: Count = 32,
        eval_batch_size: Count | None = None,
        seed: Seed = 0,
    ) -> None:
        super().__init__(path, batch_size, eval_batch_size, seed)
        require_counts(limit=limit)
        names, fractions = (train_split, val_split, test_split), (val_fraction, test_fraction)
        self.division = Division(names, fractions, split_seed, fold, folds)
        self.limit = limit
