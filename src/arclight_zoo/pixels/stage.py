"""The images of one stage of a run: rows of a source's split, in memory or in files."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from arclight.data.order import EvalBatches, TrainBatches
from arclight.errors import UserError
from arclight_zoo.pixels.augment import Finish
from arclight_zoo.pixels.decode import Shape
from arclight_zoo.pixels.memory import MemoryLoader, decode_rows
from arclight_zoo.pixels.probe import count_one_colour, mean_and_std
from arclight_zoo.pixels.source import Split
from arclight_zoo.pixels.worker_loader import WorkerLoader
from arclight_zoo.reading.cache import cached
from arclight_zoo.reading.splits import Rows, same_content

Loader = MemoryLoader | WorkerLoader
_MEASURED = 2048  # images for mean and std if not all are decoded


@dataclass(frozen=True)
class Part:
    """Rows of a split.

    Attributes:
        split: of the source.
        rows: `(n,)`, indices into the split.
        shape: of the preprocessed images.
        pixels: the whole split, decoded; None if threads decode it.
    """

    split: Split
    rows: Rows
    shape: Shape
    pixels: Tensor | None

    def __len__(self) -> int:
        return len(self.rows)

    def images(self) -> Tensor:
        """The decoded images, uint8 `(n, channels, size, size)`; only for parts in memory."""
        assert self.pixels is not None
        if len(self) == len(self.pixels):
            return self.pixels
        return self.pixels.index_select(0, torch.from_numpy(self.rows))

    def same(self, cache: Path) -> Rows:
        """For each row, the first row with the same pixels, or the same file if not in memory."""
        if self.pixels is not None:
            return same_content(image.tobytes() for image in self.images().numpy())
        key = f"same rows 1|{self.split.fingerprint}|{len(self)}"
        return cached(cache, key, lambda: same_content(map(self.split.content, self.rows.tolist())))

    def mean_and_std(self, cache: Path) -> tuple[list[float], list[float], float]:
        """Mean and std per channel, and the fraction of images with a single colour.

        Computed from all images in memory, or from a few thousand evenly spaced ones in files.
        """
        if self.pixels is not None:
            images = self.images()
            return *mean_and_std(images), count_one_colour(images) / max(1, len(images))
        some = self.rows[np.unique(np.linspace(0, len(self) - 1, _MEASURED).astype(int))]
        key = f"mean and std 3|{self.split.fingerprint}|{self.shape}|{some.tolist()}"

        def measure() -> np.ndarray:
            images = torch.from_numpy(decode_rows(self.split, some, self.shape))
            plain = count_one_colour(images) / len(images)
            return np.array([*mean_and_std(images), [plain] * images.shape[1]])

        mean, std, plain = cached(cache, key, measure).tolist()
        return mean, std, plain[0]

    def normalisation(
        self, mean: list[float] | None, std: list[float] | None, path: str, cache: Path
    ) -> tuple[list[float], list[float], list[str]]:
        """Mean and std as given, or else of these images; and a sentence if some are blank.

        Raises:
            UserError: a given one is invalid, or no image has more than one colour.
        """
        channels = self.shape.channels
        for key, given in (("mean", mean), ("std", std)):
            if given is not None and (len(given) != channels or (key == "std" and 0 in given)):
                raise UserError(
                    f"data.{key}={given} should be {channels} numbers, one per channel"
                    f"{', none of them 0' if key == 'std' else ''}: type null to compute it."
                )
        if mean is not None and std is not None:
            return mean, std, []
        own_mean, own_std, plain = self.mean_and_std(cache)
        if plain == 1:
            raise UserError(
                f"Every training image of {path} has a single colour, so there is nothing to "
                "learn: check the files."
            )
        notes = [f"{plain:.1%} of the training images have a single colour."] if plain else []
        return mean or own_mean, std or own_std, notes

    def class_counts(self, class_names: list[str]) -> list[int]:
        """The number of images of each class."""
        labels = self.split.labels[self.rows]
        if labels.ndim > 1:  # any number of classes per image
            return [int(count) for count in labels.sum(0, dtype=int)]
        return [int(count) for count in np.bincount(labels, minlength=len(class_names))]

    def digest(self) -> bytes:
        """SHA-256 of labels and pixels, or of labels and the fingerprint of the files."""
        digest = hashlib.sha256(self.split.labels[self.rows].tobytes())
        if self.pixels is not None:
            digest.update(self.images().numpy().data)
        else:
            digest.update(self.split.fingerprint.encode() + self.rows.tobytes())
        return digest.digest()

    def loader(
        self,
        batches: TrainBatches | EvalBatches,
        finish: Finish,
        device: torch.device,
        num_workers: int,
        scaled_decode: bool,
    ) -> Loader:
        """A loader of preprocessed batches of this part on the device."""
        if self.pixels is None:
            where = self.split, self.rows, self.shape
            return WorkerLoader(*where, batches, finish, device, num_workers, scaled_decode)
        labels = torch.from_numpy(self.split.labels[self.rows])
        return MemoryLoader(self.images(), labels, batches, finish, device)
