"""A run directory that somebody moves or deletes while it is executed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from arclight.run_directory import RunDirectory


class Whereabouts:
    """Where a run directory is now.

    Args:
        run: the directory as it was found.
        handle: an open file descriptor of it, which goes along where it is moved.
    """

    def __init__(self, run: RunDirectory, handle: int) -> None:
        self.run, self._handle = run, handle

    @property
    def has_left(self) -> bool:
        """Whether its path is no longer its own."""
        try:
            return not os.path.samestat(self.run.path.stat(), os.fstat(self._handle))
        except OSError:
            return True

    @property
    def now(self) -> RunDirectory | None:
        """The directory where it is; None: it has been deleted, or nobody knows."""
        if not self.has_left:
            return self.run
        try:
            place = Path(os.readlink(f"/proc/self/fd/{self._handle}"))
        except OSError:  # no Linux
            return None
        found = RunDirectory(place)
        return found if found.summary_file.is_file() else None

    def sentence(self) -> str:
        """What is said of a directory that has left."""
        if (found := self.now) is None:
            return f"{self.run.path} was deleted while it was executed: start a new run."
        return (
            f"{self.run.path} was moved to {found.path} while it was executed: type "
            f"python train.py resume={found.path} to continue it there."
        )


@contextmanager
def followed(run: RunDirectory) -> Iterator[Whereabouts]:
    """Knows where the directory is until the end, wherever it is moved."""
    handle = os.open(run.path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Whereabouts(run, handle)
    finally:
        os.close(handle)
