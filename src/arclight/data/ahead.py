"""Prefetch batches in a thread, and copy them to a device while it computes."""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch import Tensor

from arclight.data.rows import RowLoader

__all__ = ["Copies"]

T = TypeVar("T")
_AHEAD = 2  # batches


class Copies:
    """Copies tensors to a device; a CUDA device copies while it computes earlier steps.

    The host runs ahead of the device, so a copy from pinned memory, on a separate stream, starts
    immediately; the next computation waits for it on the device.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream: Any = None

    def __call__(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        if self.device.type != "cuda":
            return tuple(tensor.to(self.device) for tensor in tensors)
        if self._stream is None:
            self._stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        computing = torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self._stream):
            there = tuple(tensor.to(self.device, non_blocking=True) for tensor in tensors)
        computing.wait_stream(self._stream)
        for tensor in there:  # the copying stream must not reuse their memory yet
            tensor.record_stream(computing)
        return there


class AheadLoader(RowLoader):
    """A loader's batches on the device, made by a thread while earlier steps are computed.

    The batches and their order are unchanged, since a batch depends only on its samples and epoch.
    """

    def __init__(self, loader: RowLoader, device: torch.device) -> None:
        super().__init__(loader.batches, loader.make)
        self.loader, self.device = loader, device
        self.copies = Copies(device)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        for batch in ahead(self._ready(), _AHEAD):
            yield self.copies(batch)

    def _ready(self) -> Generator[list[Tensor], None, None]:
        """Runs in the thread: contiguous tensors, pinned so that the device can copy them."""
        pinned = self.device.type == "cuda"
        for batch in self.loader:
            yield [
                torch.empty(part.shape, dtype=part.dtype, pin_memory=pinned).copy_(part)
                for part in batch
            ]


def ahead(batches: Generator[T, None, None], count: int) -> Iterator[T]:
    """Yields the same batches, made in a thread, up to `count` ahead.

    The thread starts with the first `next()`. Its exceptions are raised here, in the order of the
    batches. At the end, the generator is closed and the thread stopped, also after an error.
    """
    thread = ThreadPoolExecutor(1)
    try:
        waiting: deque[Future[T | None]] = deque()
        waiting.extend(thread.submit(next, batches, None) for _ in range(count))
        while (batch := waiting.popleft().result()) is not None:
            waiting.append(thread.submit(next, batches, None))
            yield batch
    finally:
        thread.shutdown(cancel_futures=True)
        batches.close()


def on_device(loader: Any, device: torch.device) -> Any:
    """Returns a loader of a `RowLoader`'s batches that a CUDA device need not wait for."""
    if isinstance(loader, RowLoader) and device.type == "cuda":
        return AheadLoader(loader, device)
    return loader
