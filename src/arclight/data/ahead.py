"""Batches made ahead of their use, and sent to a device while it computes."""

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
    """Copies to a device; a CUDA device copies while it computes the steps before.

    The host runs ahead of the device, so a copy, on a stream of its own and from pinned memory,
    begins as soon as it is asked for; what computes next waits for it, on the device.
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
        for tensor in there:  # their memory is not the copying stream's to use again
            tensor.record_stream(computing)
        return there


class AheadLoader(RowLoader):
    """A loader's batches on the device, made by a thread while the steps before are computed.

    They are the same in the same order, since what a batch is depends on nothing but its samples
    and its epoch.
    """

    def __init__(self, loader: RowLoader, device: torch.device) -> None:
        super().__init__(loader.batches, loader.make)
        self.loader, self.device = loader, device
        self.copies = Copies(device)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        for batch in ahead(self._ready(), _AHEAD):
            yield self.copies(batch)

    def _ready(self) -> Generator[list[Tensor], None, None]:
        """In the thread: what may be copied without the host, and in one piece."""
        pinned = self.device.type == "cuda"
        for batch in self.loader:
            yield [
                torch.empty(part.shape, dtype=part.dtype, pin_memory=pinned).copy_(part)
                for part in batch
            ]


def ahead(batches: Generator[T, None, None], count: int) -> Iterator[T]:
    """The same, made in a thread, up to `count` before they are asked for.

    Nothing is made before the first is asked for. What making one raises is raised here in its
    place. However it ends, the generator is then closed, and the thread gone.
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
    """A loader of batches made by this process, such that a CUDA device does not wait for them."""
    if isinstance(loader, RowLoader) and device.type == "cuda":
        return AheadLoader(loader, device)
    return loader
