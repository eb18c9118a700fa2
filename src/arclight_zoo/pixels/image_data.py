"""The data module for images with labels or other targets."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arclight.console import say
from arclight.data.facts import Facts
from arclight.data.module import DataModule, require_counts, require_fractions
from arclight.data.order import EvalBatches, TrainBatches
from arclight.data.windows import within_windows
from arclight.errors import UserError
from arclight.ranges import Count, Natural, NonNegative, Pixels, Seed, Share
from arclight_zoo.pixels.augment import Augment, Finish
from arclight_zoo.pixels.copies import copies
from arclight_zoo.pixels.decode import Normalise, Shape
from arclight_zoo.pixels.depth import span_text
from arclight_zoo.pixels.fit import by_number, by_size
from arclight_zoo.pixels.image_facts import PREPROCESSING, ImageFacts
from arclight_zoo.pixels.memory import decoded
from arclight_zoo.pixels.pretrained import pretrained_preprocessing
from arclight_zoo.pixels.probe import check_labels, find_shape, find_span
from arclight_zoo.pixels.source import Source, Split
from arclight_zoo.pixels.sources import open_source
from arclight_zoo.pixels.stage import Loader, Part
from arclight_zoo.pixels.targets import HOLDS, Targets
from arclight_zoo.pixels.tars import shards_of
from arclight_zoo.pixels.unreadable import Subset, few, readable
from arclight_zoo.reading.cache import cache_folder
from arclight_zoo.reading.classes import require_shared, similar_names
from arclight_zoo.reading.folds import carve_fold, joined, require_fold
from arclight_zoo.reading.splits import Rows, carve, choose_splits, limited, used_splits

Stage = Literal["train", "val", "test"]
STAGES: tuple[Stage, ...] = ("train", "val", "test")


class ImageData(DataModule):
    """Loads labelled images from a path, and yields batches on the device.

    After `setup()`, `facts` holds what a model needs to know. This works without a trainer; an
    attached trainer sets rank, device, accumulation and position.

    Args:
        path: `sklearn:digits`, `matplotlib:letters`, a folder (of class folders, of tar shards, or
            of parquet files named by split as on the hub), or a Hugging Face hub id.
        image_column: of a parquet or hub data set; None: the only one that holds images.
        label_column: of a parquet or hub data set; None: the only one that holds the kind of
            `targets`. Several columns give several `values`.
        train_split: name of the split to train on; None: found by the usual names.
        val_split: name of the validation split; None: found by the usual names, or else
            `val_fraction` of the training split.
        test_split: name of the test split; None: found by the usual names, or else
            `test_fraction` of the training split.
        image_size: height and width in pixels; None: as in the data; auto: chosen by the size of
            the images, see `arclight_zoo.pixels.fit`.
        channels: 1 (grey), 3 (RGB), or the bands of arrays; None: as in the data.
        value_range: the values for black and white, for images with more than 8 bits; None:
            computed from the training images.
        eval_crop: fraction of the shorter side to keep in evaluation and prediction; None: 0.875
            if `augment.resized_crop` is chosen automatically, else 1.0.
        batch_size: images per optimizer step, over all processes and accumulated batches; auto:
            chosen by the number of images.
        eval_batch_size: images per evaluation batch, over all processes; None: as in training.
        val_fraction: see `val_split`.
        test_fraction: see `test_split`; taken before the validation images.
        split_seed: of the random splits; independent of the run's seed.
        folds: number of parts of the training split for cross-validation; `fold` is the one to
            test on, instead of the test split; None: no cross-validation.
        fold: see `folds`.
        group_column: of a parquet or hub data set; images with the same value stay in one split.
            None: only copies of an image stay together.
        limit: use this many images of each split; None: all.
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
        seed: the run's seed, for order and augmentation.

        targets: `classes`: one class per image; `multilabel`: any number of classes (the column
            holds lists, or text separated by commas); `values`: numbers.

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
        train_split: str | None = None,
        val_split: str | None = None,
        test_split: str | None = None,
        image_size: Pixels | Literal["auto"] | None = None,
        channels: Count | None = None,
        value_range: list[float] | None = None,
        eval_crop: Share | None = None,
        batch_size: Count | Literal["auto"] = 128,
        eval_batch_size: Count | None = None,
        val_fraction: Share = 0.1,
        test_fraction: Share = 0.1,
        split_seed: Seed = 0,
        folds: Count | None = None,
        fold: Natural = 0,
        group_column: str | None = None,
        limit: Count | None = None,
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
        seed: Seed = 0,
        targets: Literal["classes", "multilabel", "values"] = "classes",
    ) -> None:
        self.open_batch = isinstance(batch_size, str)
        super().__init__(
            path, 1 if isinstance(batch_size, str) else batch_size, eval_batch_size, seed
        )
        require_fractions(val_fraction=val_fraction, test_fraction=test_fraction)
        self.fitted = image_size == "auto"
        size = None if isinstance(image_size, str) else image_size
        require_counts(image_size=size, channels=channels, limit=limit)
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
        self.split_names = (train_split, val_split, test_split)
        self.image_size, self.channels, self.eval_crop = size, channels, eval_crop
        self.value_range = value_range
        self.val_fraction, self.test_fraction = val_fraction, test_fraction
        require_fold(fold, folds)
        self.fold, self.folds, self.group_column = fold, folds, group_column
        self.split_seed, self.limit, self.train_limit = split_seed, limit, train_limit
        self.loader, self.memory_limit_gb = loader, memory_limit_gb
        self.num_workers, self.scaled_decode = num_workers, scaled_decode
        self.shuffle_window = shuffle_window
        self.augment = augment or Augment()
        self.mean, self.std = mean, std
        self.most_skipped = max_errors if on_error == "skip" else None
        self.cache = cache_folder(cache)

    def follow_weights(self, weights: str, before: Mapping[str, Any] | None) -> None:
        """Sets size, channels, crop, mean and std that are None to those of pretrained weights."""
        missing = [key for key in PREPROCESSING if getattr(self, key) is None]
        if not missing:
            return
        known = {
            k: v for k, v in (before or pretrained_preprocessing(weights)).items() if v is not None
        }
        if (self.channels or known.get("channels")) != len(known.get("mean", [])):
            missing = [key for key in missing if key not in ("mean", "std")]  # do not apply
        taken = {key: known[key] for key in missing if key in known}
        if taken and not before:
            words = ", ".join(f"data.{key}={_short(value)}" for key, value in taken.items())
            say(f"Preprocessing of the weights {weights}: {words}")
        for key, value in taken.items():
            setattr(self, key, value)

    def setup(self, stage: str | None = None) -> None:
        """Opens and splits the data, and computes their statistics; a second call does nothing."""
        if hasattr(self, "facts"):
            return
        self.notes: list[str] = []
        self.chosen: dict[str, Any] = {}
        source = self._open()
        names = choose_splits(source.splits, *self.split_names)
        used = {s: source.splits[n] for s, n in zip(STAGES, names, strict=True) if n is not None}
        if self.folds is not None:
            used.pop("test", None)  # replaced by a fold
        skipped = self._skip_unreadable(used)
        check_labels(source, used.values())
        self.shape = self._find_shape(used)
        self.pixels = self._in_memory(used)
        self.parts: dict[str, Part] = self._divide(used)
        self._fit_number(len(self.parts["train"]))
        mean, std = self._mean_and_std()
        digests = b"".join(part.digest() for part in self.parts.values())
        self.facts = ImageFacts(
            num_classes=len(source.class_names),
            class_names=source.class_names,
            class_counts=self._class_counts(len(source.class_names)),
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
        self.notes += self._made_splits(used)
        limits = self.cache, self.memory_limit_gb
        self.notes += copies(self.parts, self.facts.fingerprint, *limits)

    def _made_splits(self, used: dict[Stage, Split]) -> list[str]:
        """A message about splits that are made from the training images."""
        made = [s for s in ("val", "test") if s not in used and self.facts.sizes[s]]
        if self.folds is not None:
            return [f"Fold {self.fold} of {self.folds} of the training images is the test split."]
        if not made:
            return []
        return [
            f"{self.path} has no {' and no '.join(made)} split: "
            + " and ".join(f"{self.facts.sizes[s]:,} for {s}" for s in made)
            + " are taken from its training images ("
            + ", ".join(f"data.{s}_fraction" for s in made)
            + ")."
        ]

    def _find_shape(self, used: dict[Stage, Split]) -> Shape:
        given = self.image_size, self.channels
        shape, deep, side = find_shape(used.values(), *given, self.fitted)
        self._fit_size(side)
        if self.value_range is not None:
            return replace(shape, span=(self.value_range[0], self.value_range[1]))
        if not deep:
            return shape
        train = used["train"]
        span = find_span(train.image, len(train.labels), train.fingerprint, self.cache)
        words = f"Pixels have more than 8 bits; {span_text(span)} maps to black to white"
        self.notes.append(f"{words} (data.value_range).")
        return replace(shape, span=span)

    def _fit_size(self, side: int) -> None:
        """Chooses size and augmentation by the images' shorter side, where the config does not."""
        suits, how = by_size(side), self.augment
        if self.fitted and self.image_size is None:
            self.chosen["data.image_size"] = suits["data.image_size"]
        if how.resized_crop is None:
            share = 0.0 if self.loader == "memory" else suits["data.augment.resized_crop"]
            self.chosen["data.augment.resized_crop"] = share
            how = replace(how, resized_crop=share)
            if self.eval_crop is None and share:
                self.eval_crop = self.chosen["data.eval_crop"] = suits["data.eval_crop"]
        if how.crop is None:
            how = replace(how, crop=0 if how.resized_crop else int(suits["data.augment.crop"]))
            if how.crop:
                self.chosen["data.augment.crop"] = how.crop
        self.augment = how

    def _fit_number(self, images: int) -> None:
        """Chooses batch size and epochs by the number of images, where the config does not."""
        suits = by_number(images)
        self.chosen["trainer.max_epochs"] = suits["trainer.max_epochs"]
        if self.open_batch:
            self.batch_size = self.chosen["data.batch_size"] = suits["data.batch_size"]

    def _class_counts(self, classes: int) -> list[int]:
        """Training images of each class; empty for values."""
        part = self.parts["train"]
        labels = part.split.labels[part.rows]
        if self.targets == "values":
            return []
        several = self.targets == "multilabel"
        counts = labels.sum(0, dtype=int) if several else np.bincount(labels, minlength=classes)
        return [int(count) for count in counts]

    def _open(self) -> Source:
        source = open_source(
            self.path, *self.columns, self.cache, self.targets, self.group_column, self._wanted
        )
        if source.label_column:
            count = sum(len(split.labels) for split in source.splits.values())
            require_shared(source.path, source.label_column, source.class_names, count)
        self.notes += similar_names(source.class_names)
        return source

    def _wanted(self, names: Collection[str]) -> list[str]:
        return used_splits(names, self.split_names, self.folds)

    def _strata(self, split: Split) -> Rows:
        """The strata for splits made from the training images."""
        if split.labels.ndim > 1:
            return np.zeros(len(split.labels), dtype=np.int64)
        return split.labels

    def _skip_unreadable(self, used: dict[Stage, Split]) -> dict[str, int]:
        """Removes unreadable images from the splits; returns how many were removed from each."""
        if self.most_skipped is None:
            return {}
        kept = readable(used.values(), self.cache, self.most_skipped)
        self.notes += [
            f"Left out {len(split.left_out)} unreadable images of split {split.name} "
            f"(data.on_error=skip): {few(split.left_out)}."
            for split in kept
            if isinstance(split, Subset)
        ]
        lost = {
            a.name: len(a.labels) - len(b.labels) for a, b in zip(used.values(), kept, strict=True)
        }
        used.update(zip(used, kept, strict=True))
        return {name: n for name, n in lost.items() if n}

    @property
    def _crop(self) -> float:
        return 1.0 if self.eval_crop is None else self.eval_crop

    def _shape_of(self, stage: Stage) -> Shape:
        return self.shape if stage == "train" else replace(self.shape, crop=self._crop)

    def _in_memory(self, used: dict[Stage, Split]) -> dict[tuple[str, Shape], Tensor]:
        """The decoded splits, by name and shape; empty if workers decode them."""
        splits = {
            (split.name, self._shape_of(stage)): split
            for stage in STAGES
            for split in [used.get(stage, used["train"])]
        }
        images = sum(len(split.labels) for split in splits.values())
        size = images * self.shape.channels * self.shape.size**2
        originals = bool(self.augment.resized_crop)  # crops the original image
        if self.loader == "memory" and originals:
            raise UserError(
                "data.augment.resized_crop needs the original images, which data.loader=memory "
                "does not keep: type data.loader=workers."
            )
        too_large = self.loader == "auto" and size > self.memory_limit_gb * 1e9
        if self.loader == "workers" or originals or too_large:
            return {}
        return {
            (name, shape): torch.from_numpy(decoded(split, shape, self.cache))
            for (name, shape), split in splits.items()
        }

    def _divide(self, used: dict[Stage, Split]) -> dict[str, Part]:
        """The images of each stage; missing validation and test sets are taken from train."""

        def part(stage: Stage, rows: Rows) -> Part:
            split, shape = used.get(stage, used["train"]), self._shape_of(stage)
            return Part(split, rows, shape, self.pixels.get((split.name, shape)))

        rows = {stage: np.arange(len(split.labels)) for stage, split in used.items()}
        val = 0.0 if "val" in used else self.val_fraction
        test = 0.0 if "test" in used else self.test_fraction
        if val or test or self.folds is not None:
            same = part("train", rows["train"]).same(self.cache)
            same = joined(same, getattr(used["train"], "groups", None))
            strata = self._strata(used["train"])
            if self.folds is None:
                carved = carve(strata, same, val, test, self.split_seed)
            else:
                carved = carve_fold(strata, same, val, self.fold, self.folds, self.split_seed)
            rows = {**rows, "train": carved[0]}
            rows.setdefault("val", carved[1])
            rows.setdefault("test", carved[2])
        if self.train_limit is not None:
            rows["train"] = limited(rows["train"], self.train_limit, self.split_seed)
        none = np.arange(0)
        return {
            stage: part(stage, limited(rows.get(stage, none), self.limit, self.split_seed))
            for stage in STAGES
        }

    def _mean_and_std(self) -> tuple[list[float], list[float]]:
        channels = self.shape.channels
        for key, given in (("mean", self.mean), ("std", self.std)):
            if given is not None and (len(given) != channels or (key == "std" and 0 in given)):
                raise UserError(
                    f"data.{key}={given} should be {channels} numbers, one per channel"
                    f"{', none of them 0' if key == 'std' else ''}: type null to compute it."
                )
        if self.mean is not None and self.std is not None:
            return self.mean, self.std
        mean, std, plain = self.parts["train"].mean_and_std(self.cache)
        if plain == 1:
            raise UserError(
                f"Every training image of {self.path} has a single colour, so there is nothing to "
                "learn: check the files."
            )
        if plain:
            self.notes.append(f"{plain:.1%} of the training images have a single colour.")
        return self.mean or mean, self.std or std

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
            within_windows(batches, self._shards(self.parts[stage]), self.shuffle_window)
        how = self.num_workers, self.scaled_decode
        return self.parts[stage].loader(batches, finish, device, *how)

    def _shards(self, part: Part) -> NDArray[np.int32]:
        shards = shards_of(part.split)
        if shards is None:
            raise UserError(
                f"data.shuffle_window={self.shuffle_window} is a number of tar shards, but "
                f"{self.path} has none: type data.shuffle_window=null."
            )
        return shards[part.rows]

    def _finish(
        self, normalise: Normalise, augment: Augment | None, device: torch.device
    ) -> Finish:
        return Finish(normalise, self.facts.num_classes, augment)


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ",".join(f"{v:.4g}" for v in value) + "]"
    return str(value)
