"""Detects when a run directory is moved or deleted during the run."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from arclight.run_directory import RunDirectory, resumed


class Whereabouts:
    """The current location of a run directory.

    Args:
        run: the directory at the start.
        handle: an open file descriptor of it, which stays valid when it is moved.
    """

    def __init__(self, run: RunDirectory, handle: int) -> None:
        self.run, self._handle = run, handle

    @property
    def has_left(self) -> bool:
        """Whether the directory is no longer at its original path."""
        try:
            return not os.path.samestat(self.run.path.stat(), os.fstat(self._handle))
        except OSError:
            return True

    @property
    def now(self) -> RunDirectory | None:
        """The directory at its current path; None: deleted or unknown."""
        if not self.has_left:
            return self.run
        try:
            place = Path(os.readlink(f"/proc/self/fd/{self._handle}"))
        except OSError:  # not on Linux
            return None
        found = RunDirectory(place)
        return found if found.summary_file.is_file() else None

    def sentence(self) -> str:
        """The error message for a directory that was moved or deleted."""
        if (found := self.now) is None:
            return f"{self.run.path} was deleted during the run: start a new run."
        return (
            f"{self.run.path} was moved to {found.path} during the run: type "
            f"python train.py {resumed(found)} to continue it there."
        )


@contextmanager
def followed(run: RunDirectory) -> Iterator[Whereabouts]:
    """Follows the directory within the context, even if it is moved."""
    handle = os.open(run.path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Whereabouts(run, handle)
    finally:
        os.close(handle)
