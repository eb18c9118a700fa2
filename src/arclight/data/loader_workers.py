"""The worker processes of a loader: how they are started, and how they end.

torch leaves ending its workers to the garbage collector. It then waits five seconds for each one
that no longer listens, and a run that is cut in the middle of an epoch leaves them behind.
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
    """A loader that is not a `DataLoader` but has one, `inner`, and so its worker processes.

    Lightning ends them when a fit is over, and `close` does at any time.
    """

    inner: "DataLoader[Any]"
    _batches: Iterator[Any] | None = None

    def begin(self) -> Iterator[Any]:
        """The next pass of the inner loader; workers are started, unless they persist.

        They do not hear the signals that end a run: it needs them until it has saved.
        """
        with block_signals_in_children():
            self._batches, workers = start_workers(self.inner)
        for worker in workers:
            worker.terminate = worker.kill  # type: ignore[method-assign]  # ends stuck ones too
        if workers:
            _running.add(self._batches)
        return self._batches

    def close(self) -> None:
        """Ends the workers; another pass starts new ones."""
        if self._batches in _running:
            end_workers(self._batches)
        self._batches = None
        forget_workers(self.inner)

    # By this name Lightning finds, ends and forgets a loader's workers.
    @property
    def _iterator(self) -> Any:
        return self._batches

    @_iterator.setter
    def _iterator(self, iterator: Any) -> None:
        if iterator is None:
            self.close()


def show_dataset() -> None:
    """Within a worker: makes `get_worker_info().dataset` the user's, not what is around it."""
    info = get_worker_info()
    if info is not None:
        around: Any = info.dataset
        object.__setattr__(info, "dataset", around.dataset)  # it is frozen


_running: WeakSet[Any] = WeakSet()


@atexit.register
def _stop_all() -> None:
    """Without this, Python at its end would wait for workers that it has sent a SIGTERM."""
    for batches in list(_running):
        end_workers(batches)
