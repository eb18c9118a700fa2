"""The data module for images with masks."""

import hashlib
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arclight import Facts, UserError
from arclight.data.module import require_counts
from arclight.data.order import EvalBatches, TrainBatches, random_table
from arclight.data.rows import RowLoader
from arclight.ranges import Count, Pixels
from arclight_zoo.gallery.segmentation.augment import PairAugment
from arclight_zoo.gallery.segmentation.pairs import open_pairs
from arclight_zoo.gallery.segmentation.stack import black_and_white, find_shape, stacked
from arclight_zoo.pixels.decode import Normalise
from arclight_zoo.pixels.image_facts import ImageFacts
from arclight_zoo.pixels.probe import find_span, mean_and_std
from arclight_zoo.reading.cache import cache_folder
from arclight_zoo.reading.divided import DividedData
from arclight_zoo.reading.division import STAGES
from arclight_zoo.reading.splits import limited, same_content

HOLDS = "images with masks"
UNLABELLED = -100  # in a batch, as in torch's losses


class SegmentationData(DividedData):
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
        image_size: height and width in pixels, to which whole images are scaled; None: unchanged.
        channels: 1 (grey) or 3 (RGB); None: as in the data.
        class_names: in the order of their numbers; None: the numbers.
        augment: augmentation of training pairs; None: none.
        cache: folder of decoded images; None: `$ARCLIGHT_CACHE` or `~/.cache/arclight`.
        train_split: for this and all further arguments, see `DividedData`.

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
        image_size: Pixels | None = None,
        channels: Count | None = None,
        class_names: list[str] | None = None,
        augment: PairAugment | None = None,
        cache: str | None = None,
        **divided: Any,
    ) -> None:
        super().__init__(path, **divided)
        require_counts(image_size=image_size)
        self.columns, self.class_names = (image_column, mask_column), class_names
        self.image_size, self.channels = image_size, channels
        self.augment = augment or PairAugment()
        self.cache = cache_folder(cache)

    def setup(self, stage: str | None = None) -> None:
        """Opens, decodes and splits the data; a second call does nothing."""
        if hasattr(self, "facts"):
            return
        source = open_pairs(self.path, *self.columns, self.cache, self.division.wanted)
        found = self.division.found(source.splits)
        used = {stage: source.splits[name] for stage, name in found.items()}
        channels, size, deep = find_shape(used.values(), self.image_size, self.channels)
        train = used["train"]
        where = train.image, train.count, train.fingerprint, self.cache
        span = find_span(*where) if deep else None
        stacks = {s: stacked(pairs, channels, size, self.cache, span) for s, pairs in used.items()}
        if black_and_white(stacks.values()):
            for stack in stacks.values():
                stack[:, -1] = np.where(stack[:, -1] == 0, 2, 1)
        self.parts = {s: torch.from_numpy(one) for s, one in self._divide(stacks).items()}
        most = max(int(part[:, -1].max()) for part in self.parts.values() if len(part))
        classes = self._names(source.class_names, most)
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

    def _divide(self, stacks: dict[str, NDArray[np.uint8]]) -> dict[str, NDArray[np.uint8]]:
        """The pairs of each stage; missing validation and test sets are taken from train."""
        train = stacks["train"]
        strata = np.zeros(len(train), dtype=np.int64)  # no strata
        taken = self.division.rows(
            stacks, strata, lambda: same_content(one[:-1].tobytes() for one in train)
        )
        divided = {}
        for stage in STAGES:
            stack = train if stage in taken else stacks[stage]
            rows = taken.get(stage, np.arange(len(stack)))
            divided[stage] = stack[limited(rows, self.limit, self.division.seed)]
        return divided

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
