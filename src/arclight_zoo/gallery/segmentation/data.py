"""The data module for images with masks."""

import hashlib
from collections.abc import Collection
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arclight import DataModule, Facts, UserError
from arclight.data.module import require_counts, require_fractions
from arclight.data.order import EvalBatches, TrainBatches, random_table
from arclight.data.rows import RowLoader
from arclight.ranges import Count, Natural, Pixels, Seed, Share
from arclight_zoo.gallery.segmentation.augment import PairAugment
from arclight_zoo.gallery.segmentation.pairs import open_pairs
from arclight_zoo.gallery.segmentation.stack import black_and_white, find_shape, stacked
from arclight_zoo.pixels.decode import Normalise
from arclight_zoo.pixels.image_facts import ImageFacts
from arclight_zoo.pixels.probe import find_span, mean_and_std
from arclight_zoo.reading.cache import cache_folder
from arclight_zoo.reading.folds import carve_fold, require_fold
from arclight_zoo.reading.splits import carve, choose_splits, limited, same_content, used_splits

HOLDS = "images with masks"
UNLABELLED = -100  # in a batch, as in torch's losses
STAGES = ("train", "val", "test")


class SegmentationData(DataModule):
    """Images and masks, decoded once and kept in memory.

    Batches are normalised float images `(batch, channels, size, size)`, and classes
    `(batch, size, size)`, -100 for unlabelled pixels.

    Args:
        path: `sklearn:scenes`; a folder with `images/` and `masks/`, whose files have the same
            names, or with `train/`, `val/` and `test/` that hold these; a folder of parquet files
            or a hub id with two columns of images. The pixels of a mask are class numbers, and 255
            if unlabelled; masks with only 0 and 255 have two classes.
        image_column: of parquet files; None: found by name.
        mask_column: of parquet files; None: found by name.
        train_split: name of the split to train on; None: found by the usual names.
        val_split: name of the validation split; None: found by the usual names, or else
            `val_fraction` of the training split.
        test_split: name of the test split; None: found by the usual names, or else
            `test_fraction` of the training split.
        image_size: height and width in pixels, to which whole images are scaled; None: unchanged.
        channels: 1 (grey) or 3 (RGB); None: as in the data.
        class_names: in the order of their numbers; None: the numbers.
        batch_size: images per optimizer step, over all processes and accumulated batches.
        eval_batch_size: images per evaluation batch, over all processes; None: as in training.
        val_fraction: see `val_split`.
        test_fraction: see `test_split`.
        split_seed: of the random splits; independent of the run's seed.
        folds: number of parts of the training split for cross-validation; `fold` is the one to test
            on, instead of the test split; None: no cross-validation.
        fold: see `folds`.
        limit: use this many images of each split; None: all.
        augment: augmentation of training pairs; None: none.
        cache: folder of decoded images; None: `$ARCLIGHT_CACHE` or `~/.cache/arclight`.
        seed: the run's seed, for order and augmentation.

    Raises:
        UserError: the data or an argument is invalid.
    """

    holds = HOLDS
    facts: ImageFacts
    facts_type: type[Facts] = ImageFacts

    def __init__(
        self,
        path: str,
        image_column: str | None = None,
        mask_column: str | None = None,
        train_split: str | None = None,
        val_split: str | None = None,
        test_split: str | None = None,
        image_size: Pixels | None = None,
        channels: Count | None = None,
        class_names: list[str] | None = None,
        batch_size: Count = 32,
        eval_batch_size: Count | None = None,
        val_fraction: Share = 0.1,
        test_fraction: Share = 0.1,
        split_seed: Seed = 0,
        folds: Count | None = None,
        fold: Natural = 0,
        limit: Count | None = None,
        augment: PairAugment | None = None,
        cache: str | None = None,
        seed: Seed = 0,
    ) -> None:
        super().__init__(path, batch_size, eval_batch_size, seed)
        require_fractions(val_fraction=val_fraction, test_fraction=test_fraction)
        require_counts(image_size=image_size, limit=limit)
        require_fold(fold, folds)
        self.fold, self.folds = fold, folds
        self.columns, self.class_names = (image_column, mask_column), class_names
        self.split_names = (train_split, val_split, test_split)
        self.image_size, self.channels = image_size, channels
        self.fractions, self.split_seed, self.limit = (
            (val_fraction, test_fraction),
            split_seed,
            limit,
        )
        self.augment = augment or PairAugment()
        self.cache = cache_folder(cache)

    def setup(self, stage: str | None = None) -> None:
        """Opens, decodes and splits the data; a second call does nothing."""
        if hasattr(self, "facts"):
            return
        source = open_pairs(self.path, *self.columns, self.cache, self._wanted)
        names = choose_splits(source.splits, *self.split_names)
        used = {s: source.splits[n] for s, n in zip(STAGES, names, strict=True) if n is not None}
        if self.folds is not None:
            used.pop("test", None)  # replaced by a fold
        channels, size, deep = find_shape(used.values(), self.image_size, self.channels)
        train = used["train"]
        where = train.image, train.count, train.fingerprint, self.cache
        span = find_span(*where) if deep else None
        stacks = {s: stacked(pairs, channels, size, self.cache, span) for s, pairs in used.items()}
        if black_and_white(stacks.values()):
            for stack in stacks.values():
                stack[:, -1] = np.where(stack[:, -1] == 0, 2, 1)
        self.parts = {s: torch.from_numpy(one) for s, one in self._divide(stacks).items()}
        found = max(int(part[:, -1].max()) for part in self.parts.values() if len(part))
        classes = self._names(source.class_names, found)
        masks = self.parts["train"][:, -1].flatten()
        mean, std = mean_and_std(self.parts["train"][:, :-1])
        digest = hashlib.sha256()
        for part in self.parts.values():
            digest.update(part.numpy().tobytes())
        self.facts = ImageFacts(
            num_classes=len(classes),
            class_names=classes,
            class_counts=torch.bincount(masks, minlength=len(classes) + 1)[1:].tolist(),
            image_size=size,
            channels=channels,
            mean=mean,
            std=std,
            sizes={stage: len(part) for stage, part in self.parts.items()},
            fingerprint=digest.hexdigest(),
            value_range=list(span or ()),
        )

    def _wanted(self, names: Collection[str]) -> list[str]:
        return used_splits(names, self.split_names, self.folds)

    def _divide(self, stacks: dict[str, NDArray[np.uint8]]) -> dict[str, NDArray[np.uint8]]:
        """The pairs of each stage; missing validation and test sets are taken from train."""
        val, test = (
            0.0 if stage in stacks else share
            for stage, share in zip(STAGES[1:], self.fractions, strict=True)
        )
        train = stacks["train"]
        same = same_content(one[:-1].tobytes() for one in train)
        strata = np.zeros(len(train), dtype=np.int64)  # no strata
        if self.folds is None:
            rows = carve(strata, same, val, test, self.split_seed)
        else:
            rows = carve_fold(strata, same, val, self.fold, self.folds, self.split_seed)
        whole = {s: (stacks[s], np.arange(len(stacks[s]))) for s in STAGES[1:] if s in stacks}
        made = {stage: (train, own) for stage, own in zip(STAGES, rows, strict=True)} | whole
        return {
            stage: stack[limited(own, self.limit, self.split_seed)]
            for stage, (stack, own) in made.items()
        }

    def _names(self, known: list[str] | None, found: int) -> list[str]:
        names = self.class_names or known or [str(i) for i in range(found)]
        if found > len(names):
            raise UserError(
                f"The masks of {self.path} have the class {found - 1}, but data.class_names has "
                f"{len(names)} names: name each class, starting from 0."
            )
        return names

    def held_bytes(self) -> int:
        return 0  # batches are made on the CPU

    def make_loader(
        self, stage: str, batches: TrainBatches | EvalBatches, device: torch.device
    ) -> RowLoader:
        part, augment = self.parts[stage], self.augment
        normalise = Normalise(self.facts.mean, self.facts.std)

        @lru_cache(1)
        def table(epoch: int) -> Tensor:
            return random_table(self.seed, epoch, len(part))

        def make(indices: Tensor, epoch: int | None) -> tuple[Tensor, Tensor]:
            stack = part[indices]
            if epoch is None:
                return normalise(stack[:, :-1]), _classes(stack)
            rows = table(epoch)[indices]
            stack = augment.move(stack, rows)
            return augment.shade(normalise(stack[:, :-1]), rows), _classes(stack)

        return RowLoader(batches, make)


def _classes(stack: Tensor) -> Tensor:
    masks = stack[:, -1].long()
    return torch.where(masks == 0, UNLABELLED, masks - 1)
