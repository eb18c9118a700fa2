"""Make batches from arrays that are in memory or memory-mapped."""

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from arclight.data.order import EvalBatches, TrainBatches

__all__ = ["RowLoader"]

Make = Callable[[Tensor, int | None], Any]


class RowLoader:
    """A loader that yields the batches of one epoch, or the rest of it.

    Args:
        batches: the indices of the samples of each batch.
        make: makes a batch from indices `(n,)` and the epoch (None in evaluation); a pure function
            of the two.
    """

    def __init__(self, batches: TrainBatches | EvalBatches, make: Make) -> None:
        self.batches, self.make = batches, make

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self.batches, EvalBatches):
            for indices in self.batches:
                yield self.make(indices, None)
            return
        epoch, start = self.batches.where()
        for indices in self.batches.of_epoch(epoch, start):
            yield self.make(indices, epoch)

    # See MemoryLoader.
    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass
