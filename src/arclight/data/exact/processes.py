"""The worker processes of a loader: how they are started, and how they end.

The one file that uses private names of torch's `DataLoader`, whose public interface leaves ending
its workers to the garbage collector. Then each one that no longer listens is waited for in vain
for five seconds, and a run that is cut in the middle of an epoch leaves them behind.
"""

import atexit
from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

from torch.utils.data import DataLoader, get_worker_info

from arclight.signals import block_signals_in_children


def start(loader: "DataLoader[Any]") -> Iterator[Any]:
    """The loader's next pass; workers are started, unless they persist.

    They do not hear the signals that end a run: it needs them until it has saved.
    """
    with block_signals_in_children():
        batches = iter(loader)
    workers = getattr(batches, "_workers", ())
    for worker in workers:
        worker.terminate = worker.kill  # how torch ends one that does not end when told
    if workers:
        _running.add(batches)
    return batches


def stop(batches: Iterator[Any] | None) -> None:
    """Ends the workers of a pass. The loader can start new ones if it is told to `forget`."""
    if (end := getattr(batches, "_shutdown_workers", None)) is not None:
        end()


def forget(loader: "DataLoader[Any]") -> None:
    """Makes a loader with persistent workers start new ones, as its present ones have ended."""
    loader._iterator = None


def show_dataset() -> None:
    """Within a worker: makes `get_worker_info().dataset` the user's, not what is around it."""
    info = get_worker_info()
    if info is not None:
        around: Any = info.dataset
        object.__setattr__(info, "dataset", around.dataset)  # it is frozen


_running: WeakSet[Any] = WeakSet()


@atexit.register
def _stop_all() -> None:
    """Or else Python, at its end, would wait for workers that it has sent a SIGTERM."""
    for batches in list(_running):
        stop(batches)
