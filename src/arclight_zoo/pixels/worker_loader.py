"""Data sets too large for memory: decoded in worker processes, augmented on the device.

Workers only decode and resize; what they send is uint8, a quarter of the floats. All other
augmentation is the same whole-batch code as for sets in memory.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from arclight.data.ahead import Copies
from arclight.data.loader_workers import OwnsWorkers
from arclight.data.order import EvalBatches, TrainBatches, random_table
from arclight.errors import UserError
from arclight_zoo.pixels.augment import RESIZED_CROP, Finish
from arclight_zoo.pixels.decode import Shape, to_channels
from arclight_zoo.pixels.source import Split
from arclight_zoo.reading.splits import Rows

Batch = tuple[Tensor, Tensor, Tensor | None]


class WorkerLoader(OwnsWorkers):
    """Batches decoded by worker processes; iterating serves one epoch, or its rest.

    It is not a `DataLoader`, so that nobody replaces its sampler.

    Args:
        split: where the images come from.
        rows: the rows of the split in use, `(n,)`.
        shape: what every image becomes.
        batches: which of the rows; `TrainBatches` also say which epoch, for the augmentation.
        finish: augments and normalises.
        device: where the batches are finished.
        num_workers: processes; with 0 this process decodes. The batches are the same.
    """

    def __init__(
        self,
        split: Split,
        rows: Rows,
        shape: Shape,
        batches: TrainBatches | EvalBatches,
        finish: Finish,
        device: torch.device | str = "cpu",
        num_workers: int = 0,
    ) -> None:
        self.batches, self.finish, self.device = batches, finish, torch.device(device)
        self.copies = Copies(self.device)
        train = isinstance(batches, TrainBatches)
        smallest = finish.augment.resized_crop if train and finish.augment else 0.0
        self.inner = DataLoader(
            _Decoder(split, rows, shape, smallest),
            batch_sampler=_Keys(batches, finish.augment is not None),  # type: ignore[arg-type]
            num_workers=num_workers,
            collate_fn=_as_it_is,
            pin_memory=self.device.type == "cuda",
            persistent_workers=num_workers > 0,
            generator=torch.Generator(),  # the global one stays untouched
        )

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields (images, targets) as `Finish` makes them."""
        try:
            for images, labels, rows in self.begin():
                there, targets = self.copies((images, labels))
                yield self.finish(there, targets, rows)
        except UserError as error:  # a worker's comes wrapped in its traceback
            self.close()
            raise UserError(str(error).rpartition("UserError: ")[2].strip()) from None
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            self.close()
            raise UserError(self._death(error)) from error

    def _death(self, error: RuntimeError) -> str:
        """The sentence about a worker that died without a word, with its likely cause."""
        how = f"{error} {error.__cause__ or ''}"
        likely = "a crash in the code that decodes"
        mend = "type data.num_workers=0 to see its error"
        if "Killed" in how:
            likely = "too little memory, for which the system kills"
            mend = f"type data.num_workers={self.inner.num_workers // 2}, or ask for more memory"
        elif "Bus error" in how:
            likely = "too little shared memory"
            mend = "give /dev/shm more room (docker run --shm-size=8g), or type data.num_workers=0"
        told = " ".join(str(error).split())
        return f"A data worker died ({told}). The likely cause is {likely}: {mend}."

    # See MemoryLoader.
    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


Key = tuple[Tensor, int | None, int]


class _Keys(Sampler[Key]):
    """What a worker must know of a batch: the samples, and where to read their random rows."""

    def __init__(self, batches: TrainBatches | EvalBatches, augmented: bool) -> None:
        self.batches, self.augmented = batches, augmented

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Key]:
        if isinstance(self.batches, EvalBatches) or not self.augmented:
            for indices in self.batches:
                yield indices, None, 0
            return
        epoch, start = self.batches.where()
        for indices in self.batches.of_epoch(epoch, start):
            yield indices, epoch, self.batches.seed


class _Decoder(Dataset[Batch]):
    def __init__(self, split: Split, rows: Rows, shape: Shape, smallest_crop: float) -> None:
        self.split, self.rows, self.shape = split, rows, shape
        self.smallest_crop = smallest_crop

    def __getitems__(self, key: Key) -> Batch:
        indices, epoch, seed = key
        table = None
        if epoch is not None:
            each = [random_table(seed, epoch, 1, first=i) for i in indices.tolist()]
            table = torch.cat(each)
        rows = self.rows[indices.numpy()]
        images = np.empty((len(rows), self.shape.channels, *self.shape.sides), dtype=np.uint8)
        for i, row in enumerate(rows.tolist()):
            image = self.split.image(row)
            if table is not None and self.smallest_crop:
                u = table[i, RESIZED_CROP : RESIZED_CROP + 4].tolist()
                image = resized_crop(image, self.shape, self.smallest_crop, u)
            images[i] = self.shape.pixels(image)
        labels = torch.from_numpy(self.split.labels[rows])
        return torch.from_numpy(images), labels, table


def resized_crop(image: Image.Image, shape: Shape, smallest: float, u: list[float]) -> Image.Image:
    """A window of `smallest` to all of the area and of ratio 3/4 to 4/3, in the size of `shape`.

    Inception's crop (Szegedy et al., 2015). Unlike torchvision's, a window that would not fit is
    trimmed to the image, not drawn anew.

    Args:
        u: uniform numbers: area, ratio, x, y.
    """
    area = image.width * image.height * (smallest + u[0] * (1 - smallest))
    ratio = math.exp((u[1] * 2 - 1) * math.log(4 / 3))
    w = min(image.width, max(1, round(math.sqrt(area * ratio))))
    h = min(image.height, max(1, round(math.sqrt(area / ratio))))
    left, top = int(u[2] * (image.width - w + 1)), int(u[3] * (image.height - h + 1))
    box = (left, top, left + w, top + h)
    image = to_channels(image, shape.channels)
    return image.resize(shape.sides, Image.Resampling.BILINEAR, box=box)


def _as_it_is(batch: Any) -> Any:
    return batch
