"""Data sets that fit in memory: decoded once, augmented as whole batches on the device.

One image at a time, Python's overhead is most of the work; on whole batches it is shared, and
crops are plain copies of lines. `tests/data/test_throughput.py` measures what that gains.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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


def decoded(split: Split, shape: Shape, cache: Path) -> NDArray[np.uint8]:
    """All images of a split as uint8 `(n, channels, size, size)`, decoded once.

    Raises:
        UserError: an image cannot be read or has another size, or the cache cannot be written.
    """
    ready, wanted = split.pixels, (shape.channels, *shape.sides)
    if ready is not None and ready.shape[1:] == wanted and shape.crop == 1:
        return ready
    n = len(split.labels)
    key = f"pixels 2|{split.fingerprint}|{n}|{shape}"
    return cached(cache, key, lambda: decode_rows(split, np.arange(n), shape))


def decode_rows(split: Split, rows: Rows, shape: Shape) -> NDArray[np.uint8]:
    """These images of a split as uint8 `(len(rows), channels, size, size)`."""
    images = np.empty((len(rows), shape.channels, *shape.sides), dtype=np.uint8)

    def decode(i: int) -> None:
        images[i] = shape.pixels(split.image(int(rows[i])))

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:  # Pillow lets others run
        for _ in threads.map(decode, range(len(rows))):
            pass
    return images


class MemoryLoader:
    """Batches of a set held on the device; iterating serves one epoch, or its rest.

    Args:
        images: uint8 `(n, channels, height, width)`.
        labels: `(n,)`, or `(n, classes or values)`.
        batches: which samples; `TrainBatches` also say which epoch, for the augmentation.
        finish: augments and normalises.
        device: where the data are held and the batches made.
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
        """Yields (images, targets) as `Finish` makes them."""
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

    # A loader with these two is one that Lightning knows it can resume. It has nothing to keep:
    # where it stands follows from the trainer's own count.
    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass
