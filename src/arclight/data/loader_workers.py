"""Start and stop the worker processes of a loader.

torch leaves stopping its workers to the garbage collector. It then waits five seconds for each
worker that does not react, and a run that is interrupted within an epoch leaves its workers behind.
"""

import atexit
from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

from torch.utils.data import DataLoader, get_worker_info

from arclight.libraries.pytorch import end_workers, forget_workers, start_workers
from arclight.signals import block_signals_in_children

__all__ = ["OwnsWorkers", "show_dataset"]


class OwnsWorkers:
    """Base of a loader that contains a `DataLoader`, `inner`, and owns its worker processes.

    Lightning stops the workers after a fit; `close` stops them at any time.
    """

    inner: "DataLoader[Any]"
    _batches: Iterator[Any] | None = None

    def begin(self) -> Iterator[Any]:
        """Returns the next pass of the inner loader; starts workers unless they are persistent.

        Workers block the signals that end a run, which needs them until its checkpoint is saved.
        """
        with block_signals_in_children():
            self._batches, workers = start_workers(self.inner)
        for worker in workers:
            worker.terminate = worker.kill  # type: ignore[method-assign]  # ends stuck ones too
        if workers:
            _running.add(self._batches)
        return self._batches

    def close(self) -> None:
        """Stops the workers; the next pass starts new ones."""
        if self._batches in _running:
            end_workers(self._batches)
        self._batches = None
        forget_workers(self.inner)

    # Lightning uses this name to find, stop and drop a loader's workers.
    @property
    def _iterator(self) -> Any:
        return self._batches

    @_iterator.setter
    def _iterator(self, iterator: Any) -> None:
        if iterator is None:
            self.close()


def show_dataset() -> None:
    """In a worker, makes `get_worker_info().dataset` the user's dataset, not its wrapper."""
    info = get_worker_info()
    if info is not None:
        around: Any = info.dataset
        object.__setattr__(info, "dataset", around.dataset)  # it is frozen


_running: WeakSet[Any] = WeakSet()


@atexit.register
def _stop_all() -> None:
    """Stops all workers at exit; otherwise Python would wait for them after sending SIGTERM."""
    for batches in list(_running):
        end_workers(batches)
