"""Load data sets that fit in memory: decode once, augment whole batches on the device.

For single images, Python's overhead is most of the work. Whole batches share it, and crops are
plain copies of lines. `tests/data/test_throughput.py` measures the gain.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arclight.data.order import EvalBatches, TrainBatches, random_table
from arclight_zoo.pixels.augment import Finish
from arclight_zoo.pixels.decode import Shape
from arclight_zoo.pixels.source import Split
from arclight_zoo.reading.cache import cached
from arclight_zoo.reading.splits import Rows
from arclight_zoo.reading.threads import in_threads


def decoded(split: Split, shape: Shape, cache: Path) -> NDArray[np.uint8]:
    """All images of a split as uint8 `(n, channels, size, size)`, decoded once.

    Raises:
        UserError: an image cannot be read or has another size, or the cache is not writable.
    """
    ready, wanted = split.pixels, (shape.channels, *shape.sides)
    if ready is not None and ready.shape[1:] == wanted and shape.crop == 1:
        return ready
    n = len(split.labels)
    key = f"pixels 2|{split.fingerprint}|{n}|{shape}"
    return cached(cache, key, lambda: decode_rows(split, np.arange(n), shape))


def decode_rows(split: Split, rows: Rows, shape: Shape) -> NDArray[np.uint8]:
    """Decodes rows of a split as uint8 `(len(rows), channels, size, size)`."""
    images = np.empty((len(rows), shape.channels, *shape.sides), dtype=np.uint8)

    def decode(i: int) -> None:
        images[i] = shape.pixels(split.image(int(rows[i])))

    for _ in in_threads(decode, range(len(rows)), min(8, os.cpu_count() or 1)):
        pass
    return images


class MemoryLoader:
    """Batches of a data set on the device; iterating yields one epoch, or the rest of it.

    Args:
        images: uint8 `(n, channels, height, width)`.
        labels: `(n,)`, or `(n, classes or values)`.
        batches: sample indices; `TrainBatches` also yield the epoch, for the augmentation.
        finish: augments and normalises.
        device: of the data and batches.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        batches: TrainBatches | EvalBatches,
        finish: Finish,
        device: torch.device | str = "cpu",
    ) -> None:
        self.images, self.labels = images.to(device), labels.to(device)
        self.batches, self.finish = batches, finish

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields (images, targets) as returned by `Finish`."""
        if isinstance(self.batches, EvalBatches):
            for indices in self.batches:
                yield self._batch(indices, None)
            return
        epoch, start = self.batches.where()
        table = None
        if self.finish.augment is not None:
            table = random_table(self.batches.seed, epoch, len(self.labels))
        for indices in self.batches.of_epoch(epoch, start):
            yield self._batch(indices, None if table is None else table.index_select(0, indices))

    def _batch(self, indices: Tensor, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        if self.labels.device.type == "cpu":  # without torch's threads: see augment.py
            images = torch.from_numpy(self.images.numpy()[indices.numpy()])
            return self.finish(images, self.labels[indices], rows)
        there = indices.to(self.labels.device, non_blocking=True)
        return self.finish(self.images[there], self.labels[there], rows)

    # Lightning resumes within an epoch if the loader has these two methods. There is no state:
    # the position follows from the trainer's step count.
    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass
