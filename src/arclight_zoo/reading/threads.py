"""Read many files at once, in threads that never keep the process from ending."""

from collections.abc import Callable, Iterable, Iterator
from multiprocessing.pool import ThreadPool
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    call: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Result]:
    """Yields `call(item)` for each item, in order.

    Not with `ThreadPoolExecutor`, which waits for its threads when the process ends: a file on a
    disk that stalls would keep it alive after SIGTERM.

    Args:
        call: releases the GIL, as Pillow and reading do.
        items: all are taken at once.
        threads: how many.
    """
    with ThreadPool(threads) as pool:
        yield from pool.imap(call, items)
