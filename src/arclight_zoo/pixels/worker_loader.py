"""Load data sets too large for memory: decode in threads, augment on the device.

Threads only decode, crop and resize, in libraries that release the GIL. They write directly into
the batch, so nothing is copied between processes. All other augmentation is the same whole-batch
code as for data in memory.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from arclight.data.ahead import Copies
from arclight.data.order import EvalBatches, TrainBatches, random_rows
from arclight_zoo.pixels.augment import RESIZED_CROP, Finish
from arclight_zoo.pixels.crops import RandomCrop
from arclight_zoo.pixels.decode import Shape
from arclight_zoo.pixels.source import Split
from arclight_zoo.reading.splits import Rows

_AHEAD = 2  # batches
_AT_ONCE = 8  # images per work item of a thread


@dataclass(frozen=True)
class _Batch:
    """A batch that threads are filling, and their futures."""

    images: Tensor
    labels: Tensor
    table: Tensor | None
    work: list[Future[None]]


class WorkerLoader:
    """Batches decoded by threads; iterating yields one epoch, or the rest of it.

    Args:
        split: source of the images.
        rows: the rows of the split to use, `(n,)`.
        shape: of the preprocessed images.
        batches: indices into `rows`; `TrainBatches` also yield the epoch, for the augmentation.
        finish: augments and normalises.
        device: of the finished batches.
        num_workers: threads that decode ahead; with 0, batches are decoded when requested. The
            batches are the same.
        scaled_decode: see `RandomCrop`.
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
        scaled_decode: bool = True,
    ) -> None:
        self.split, self.rows, self.shape = split, rows, shape
        self.batches, self.finish, self.device = batches, finish, torch.device(device)
        self.num_workers, self.scaled_decode = num_workers, scaled_decode
        self.copies = Copies(self.device)
        train = isinstance(batches, TrainBatches)
        self.smallest = (finish.augment.resized_crop or 0.0) if train and finish.augment else 0.0

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields (images, targets) as returned by `Finish`."""
        threads = ThreadPoolExecutor(max(1, self.num_workers))
        ahead = _AHEAD if self.num_workers else 0
        waiting: deque[_Batch] = deque()
        try:
            for indices, epoch in self._indices():
                waiting.append(self._begin(indices, epoch, threads))
                if len(waiting) > ahead:
                    yield self._end(waiting.popleft())
            while waiting:
                yield self._end(waiting.popleft())
        finally:
            threads.shutdown(cancel_futures=True)

    def _indices(self) -> Iterator[tuple[Tensor, int | None]]:
        """The samples of each batch, and the epoch if they are augmented."""
        if isinstance(self.batches, EvalBatches):
            yield from ((indices, None) for indices in self.batches)
            return
        epoch, start = self.batches.where()
        for indices in self.batches.of_epoch(epoch, start):
            yield indices, None if self.finish.augment is None else epoch

    def _begin(self, indices: Tensor, epoch: int | None, threads: ThreadPoolExecutor) -> _Batch:
        n, rows = len(indices), self.rows[indices.numpy()]
        pinned = self.device.type == "cuda"
        size = (n, self.shape.channels, *self.shape.sides)
        images = torch.empty(size, dtype=torch.uint8, pin_memory=pinned)
        labels = torch.from_numpy(self.split.labels[rows])
        labels = labels.pin_memory() if pinned else labels
        table = None
        if epoch is not None and isinstance(self.batches, TrainBatches):
            table = random_rows(self.batches.seed, epoch, indices)

        def decode(some: range) -> None:
            for i in some:
                images.numpy()[i] = self._pixels(int(rows[i]), None if table is None else table[i])

        parts = [range(i, min(i + _AT_ONCE, n)) for i in range(0, n, _AT_ONCE)]
        return _Batch(images, labels, table, [threads.submit(decode, part) for part in parts])

    def _pixels(self, row: int, random: Tensor | None) -> Any:
        """Decodes an image as uint8 `(channels, size, size)`."""
        if random is None or not self.smallest:
            return self.shape.pixels(self.split.image(row))
        u = random[RESIZED_CROP : RESIZED_CROP + 4].tolist()
        crop = RandomCrop(self.shape, self.smallest, self.scaled_decode, u)
        return self.split.image(row, crop)

    def _end(self, batch: _Batch) -> tuple[Tensor, Tensor]:
        for work in batch.work:
            work.result()
        images, labels = self.copies((batch.images, batch.labels))
        return self.finish(images, labels, batch.table)

    # See MemoryLoader: there is no state.
    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass
