"""The data module for images with labels or other targets."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from arclight.data.facts import Facts
from arclight.data.module import require_counts
from arclight.data.order import EvalBatches, TrainBatches
from arclight.data.windows import within_windows
from arclight.errors import UserError
from arclight.ranges import Count, Natural, NonNegative, Pixels, Share
from arclight_zoo.pixels.augment import Augment, Finish
from arclight_zoo.pixels.copies import copies
from arclight_zoo.pixels.decode import Normalise, Shape
from arclight_zoo.pixels.depth import span_text
from arclight_zoo.pixels.fit import by_number, fit_crops
from arclight_zoo.pixels.image_facts import PREPROCESSING, ImageFacts
from arclight_zoo.pixels.memory import decoded
from arclight_zoo.pixels.pretrained import adopted
from arclight_zoo.pixels.probe import check_labels, find_shape, find_span
from arclight_zoo.pixels.source import Source, Split
from arclight_zoo.pixels.sources import open_source
from arclight_zoo.pixels.stage import Loader, Part
from arclight_zoo.pixels.targets import HOLDS, Targets
from arclight_zoo.pixels.tars import require_shards
from arclight_zoo.pixels.unreadable import readable
from arclight_zoo.reading.cache import cache_folder
from arclight_zoo.reading.classes import require_shared, similar_names
from arclight_zoo.reading.divided import DividedData
from arclight_zoo.reading.division import STAGES
from arclight_zoo.reading.folds import joined
from arclight_zoo.reading.splits import Rows, limited


class ImageData(DividedData):
    """Loads labelled images from a path, and yields batches on the device.

    After `setup()`, `facts` holds what a model needs to know. This works without a trainer; an
    attached trainer sets rank, device, accumulation and position.

    Args:
        path: `sklearn:digits`, `matplotlib:letters`, a folder (of class folders, of tar shards, or
            of parquet files named by split as on the hub), or a Hugging Face hub id.
        image_column: of a parquet or hub data set; None: the only one that holds images.
        label_column: of a parquet or hub data set; None: the only one that holds the kind of
            `targets`. Several columns give several `values`.
        image_size: height and width in pixels; None: as in the data; auto: chosen by the size of
            the images, see `arclight_zoo.pixels.fit`.
        channels: 1 (grey), 3 (RGB), or the bands of arrays; None: as in the data.
        value_range: the values for black and white, for images with more than 8 bits; None:
            computed from the training images.
        eval_crop: fraction of the shorter side to keep in evaluation and prediction; None: 0.875
            if `augment.resized_crop` is chosen automatically, else 1.0.
        batch_size: images per optimizer step, over all processes and accumulated batches; auto:
            chosen by the number of images.
        group_column: of a parquet or hub data set; images with the same value stay in one split.
            None: only copies of an image stay together.
        train_limit: use this many training images; None: only `limit` applies.
        loader: `memory` decodes all images once and augments whole batches, `workers` decodes
            during training, `auto` is `memory` if the decoded images fit into `memory_limit_gb`.
        memory_limit_gb: see `loader`.
        num_workers: threads of the `workers` loader.
        scaled_decode: see `RandomCrop.scaled`; for training with the `workers` loader.
        shuffle_window: for tar shards: shuffle the shards, and then the images of this many shards
            together; None: shuffle all images together.
        augment: augmentation of training images; None: none.
        mean: to subtract, per channel, on the scale 0 to 1; None: of the training images.
        std: to divide by, per channel; None: of the training images.
        on_error: `raise` stops at an unreadable image; `skip` leaves it out, and reads each image
            once before the first training to find them.
        max_errors: most images that `skip` may leave out.
        cache: folder of decoded images; None: `$ARCLIGHT_CACHE` or `~/.cache/arclight`.
        targets: `classes`: one class per image; `multilabel`: any number of classes (the column
            holds lists, or text separated by commas); `values`: numbers.
        train_split: for this and all further arguments, see `DividedData`.

    Raises:
        UserError: the data or an argument is invalid.
    """

    facts: ImageFacts
    facts_type: type[Facts] = ImageFacts

    holds = HOLDS["classes"]

    def __init__(
        self,
        path: str,
        image_column: str | None = None,
        label_column: str | list[str] | None = None,
        image_size: Pixels | Literal["auto"] | None = None,
        channels: Count | None = None,
        value_range: list[float] | None = None,
        eval_crop: Share | None = None,
        batch_size: Count | Literal["auto"] = 128,
        group_column: str | None = None,
        train_limit: Count | None = None,
        loader: Literal["auto", "memory", "workers"] = "auto",
        memory_limit_gb: NonNegative = 4.0,
        num_workers: Natural = 4,
        scaled_decode: bool = True,
        shuffle_window: Count | None = None,
        augment: Augment | None = None,
        mean: list[float] | None = None,
        std: list[float] | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        max_errors: Natural = 100,
        cache: str | None = None,
        targets: Literal["classes", "multilabel", "values"] = "classes",
        **divided: Any,
    ) -> None:
        self.open_batch = batch_size == "auto"
        super().__init__(path, batch_size=1 if batch_size == "auto" else batch_size, **divided)
        self.fitted = image_size == "auto"
        size = None if isinstance(image_size, str) else image_size
        require_counts(image_size=size, channels=channels)
        require_counts(train_limit=train_limit, shuffle_window=shuffle_window)
        if value_range is not None and (len(value_range) != 2 or value_range[0] >= value_range[1]):
            raise UserError(
                f"data.value_range={value_range} should be two numbers, black and white, such as "
                "data.value_range=[0,4095]."
            )
        if eval_crop is not None and not 0 < eval_crop <= 1:
            raise UserError(f"data.eval_crop={eval_crop} should be more than 0 and at most 1.")
        if not isinstance(label_column, str | None) and targets != "values":
            raise UserError(
                f"data.label_column={label_column} names several columns, which only works with "
                "data.targets=values: name one column."
            )
        self.columns = image_column, label_column
        self.targets: Targets = targets
        if targets != "classes":
            self.holds = HOLDS[targets]
        self.image_size, self.channels, self.eval_crop = size, channels, eval_crop
        self.value_range = value_range
        self.group_column, self.train_limit = group_column, train_limit
        self.loader, self.memory_limit_gb = loader, memory_limit_gb
        self.num_workers, self.scaled_decode = num_workers, scaled_decode
        self.shuffle_window = shuffle_window
        self.augment = augment or Augment()
        self.mean, self.std = mean, std
        self.most_skipped = max_errors if on_error == "skip" else None
        self.cache = cache_folder(cache)

    def follow_weights(self, weights: str, before: Mapping[str, Any] | None) -> None:
        """Sets size, channels, crop, mean and std that are None to those of pretrained weights."""
        given = {key: getattr(self, key) for key in PREPROCESSING}
        for key, value in adopted(weights, before, given).items():
            setattr(self, key, value)

    def setup(self, stage: str | None = None) -> None:
        """Opens and splits the data, and computes their statistics; a second call does nothing."""
        if hasattr(self, "facts"):
            return
        self.notes: list[str] = []
        self.chosen: dict[str, Any] = {}
        source = self._open()
        used = {s: source.splits[name] for s, name in self.division.found(source.splits).items()}
        skipped: dict[str, int] = {}
        if self.most_skipped is not None:
            used, skipped, notes = readable(used, self.cache, self.most_skipped)
            self.notes += notes
        check_labels(source, used.values())
        self.shape = self._find_shape(used)
        self.pixels = self._in_memory(used)
        self.parts: dict[str, Part] = self._divide(used)
        train = self.parts["train"]
        suits = by_number(len(train))
        self.chosen["trainer.max_epochs"] = suits["trainer.max_epochs"]
        if self.open_batch:
            self.batch_size = self.chosen["data.batch_size"] = suits["data.batch_size"]
        mean, std, notes = train.normalisation(self.mean, self.std, self.path, self.cache)
        self.notes += notes
        digests = b"".join(part.digest() for part in self.parts.values())
        self.facts = ImageFacts(
            num_classes=len(source.class_names),
            class_names=source.class_names,
            class_counts=[] if self.targets == "values" else train.class_counts(source.class_names),
            image_size=self.shape.size,
            channels=self.shape.channels,
            mean=mean,
            std=std,
            eval_crop=self._crop,
            sizes={stage: len(part) for stage, part in self.parts.items()},
            fingerprint=hashlib.sha256(digests).hexdigest(),
            skipped=skipped,
            value_range=list(self.shape.span or ()),
        )
        self.notes += self.division.notes(self.path, used, self.facts.sizes, "images")
        limits = self.cache, self.memory_limit_gb
        self.notes += copies(self.parts, self.facts.fingerprint, *limits)

    def _find_shape(self, used: dict[str, Split]) -> Shape:
        given = self.image_size, self.channels
        shape, deep, side = find_shape(used.values(), *given, self.fitted)
        chosen, self.augment, self.eval_crop = fit_crops(
            side, self.augment, self.eval_crop, self.loader == "memory"
        )
        if self.fitted and self.image_size is None:
            self.chosen["data.image_size"] = shape.size
        self.chosen |= chosen
        if self.value_range is not None:
            return replace(shape, span=(self.value_range[0], self.value_range[1]))
        if not deep:
            return shape
        train = used["train"]
        span = find_span(train.image, len(train.labels), train.fingerprint, self.cache)
        words = f"Pixels have more than 8 bits; {span_text(span)} maps to black to white"
        self.notes.append(f"{words} (data.value_range).")
        return replace(shape, span=span)

    def _open(self) -> Source:
        source = open_source(
            self.path,
            *self.columns,
            self.cache,
            self.targets,
            self.group_column,
            self.division.wanted,
        )
        if source.label_column:
            count = sum(len(split.labels) for split in source.splits.values())
            require_shared(source.path, source.label_column, source.class_names, count)
        self.notes += [*similar_names(source.class_names), *source.notes]
        return source

    def _strata(self, split: Split) -> Rows:
        """The strata for splits made from the training images."""
        if split.labels.ndim > 1:
            return np.zeros(len(split.labels), dtype=np.int64)
        return split.labels

    @property
    def _crop(self) -> float:
        return 1.0 if self.eval_crop is None else self.eval_crop

    def _shape_of(self, stage: str) -> Shape:
        return self.shape if stage == "train" else replace(self.shape, crop=self._crop)

    def _in_memory(self, used: dict[str, Split]) -> dict[tuple[str, Shape], Tensor]:
        """The decoded splits, by name and shape; empty if workers decode them."""
        splits = {
            (split.name, self._shape_of(stage)): split
            for stage in STAGES
            for split in [used.get(stage, used["train"])]
        }
        images = sum(len(split.labels) for split in splits.values())
        size = images * self.shape.channels * self.shape.size**2
        originals = bool(self.augment.resized_crop)  # crops the original image
        too_large = self.loader == "auto" and size > self.memory_limit_gb * 1e9
        if self.loader == "workers" or originals or too_large:
            return {}
        return {
            (name, shape): torch.from_numpy(decoded(split, shape, self.cache))
            for (name, shape), split in splits.items()
        }

    def _divide(self, used: dict[str, Split]) -> dict[str, Part]:
        """The images of each stage; missing validation and test sets are taken from train."""

        def part(stage: str, rows: Rows) -> Part:
            split, shape = used.get(stage, used["train"]), self._shape_of(stage)
            return Part(split, rows, shape, self.pixels.get((split.name, shape)))

        rows = {stage: np.arange(len(split.labels)) for stage, split in used.items()}
        train = used["train"]

        def same() -> Rows:
            equal = part("train", rows["train"]).same(self.cache)
            return joined(equal, getattr(train, "groups", None))

        rows |= self.division.rows(used, self._strata(train), same)
        seed = self.division.seed
        if self.train_limit is not None:
            rows["train"] = limited(rows["train"], self.train_limit, seed)
        return {s: part(s, limited(rows[s], self.limit, seed)) for s in STAGES}

    def held_bytes(self) -> int:
        if not self.pixels:
            return 0
        size = self.shape.channels * self.shape.sides[0] * self.shape.sides[1]
        return sum(len(part) * size for part in self.parts.values())

    def make_loader(
        self, stage: str, batches: TrainBatches | EvalBatches, device: torch.device
    ) -> Loader:
        normalise = Normalise(self.facts.mean, self.facts.std, device)
        augment = self.augment if stage == "train" else None
        finish = self._finish(normalise, augment, device)
        if isinstance(batches, TrainBatches) and self.shuffle_window:
            shards = require_shards(self.parts[stage].split, self.path, self.shuffle_window)
            within_windows(batches, shards[self.parts[stage].rows], self.shuffle_window)
        how = self.num_workers, self.scaled_decode
        return self.parts[stage].loader(batches, finish, device, *how)

    def _finish(
        self, normalise: Normalise, augment: Augment | None, device: torch.device
    ) -> Finish:
        return Finish(normalise, self.facts.num_classes, augment)
