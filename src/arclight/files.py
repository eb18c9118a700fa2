"""Files that are whole or not there: written beside the target, synced, then renamed over it."""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from weakref import WeakSet

from arclight.errors import UserError
from arclight.masking import masked

__all__ = [
    "NoLocksError",
    "lock",
    "only_reading_is_asked",
    "open_lock",
    "write_json",
    "write_text",
    "write_whole",
]

ONLY_READING = "ARCLIGHT_ONLY_READING"
"""An environment variable, which the processes of a run inherit."""

TEMPORARY = ".part"

# What a disk says that is full or may not be written to.
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)

# What a file system says that knows no locks, or has lost the service that keeps them.
UNLOCKABLE = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK)


class NoLocksError(UserError):
    """Files cannot be locked where they lie."""


def lock(file: IO[Any], kind: int) -> bool:
    """Locks an open file until it is closed, however its process ends.

    Forked children drop it at once, so that a data worker which outlives a killed run does not
    hold its lock.

    Args:
        kind: as for `fcntl.flock`.

    Returns:
        False: another has locked it, and `kind` says not to wait.

    Raises:
        NoLocksError: the file system has no locks.
    """
    try:
        fcntl.flock(file, kind)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in UNLOCKABLE:
            raise
        raise NoLocksError(
            f"{file.name} cannot be locked ({error.strerror}): its file system has no locks, which "
            "on Lustre are the mount option flock, and on NFS a service."
        ) from error
    _locked.add(file)
    return True


def open_lock(path: Path) -> IO[str]:
    """Opens the file of a lock, for `lock`. It is not emptied, and no link is followed to it.

    Raises:
        UserError: it is a link.
    """
    more = os.O_CREAT | os.O_NOFOLLOW
    try:
        return open(path, "r+", opener=lambda name, flags: os.open(name, flags | more, 0o666))
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise UserError(f"{path} is a link, and should be a file: remove it.") from error


_locked: WeakSet[IO[Any]] = WeakSet()


def _leave_to_parent() -> None:
    """Drops the locks in a forked child; the parent keeps them.

    `file.close()` could wait for a lock of Python's that another thread held during the fork.
    """
    nothing = os.open(os.devnull, os.O_RDONLY)
    for file in list(_locked):
        if not file.closed:
            os.dup2(nothing, file.fileno(), inheritable=False)
    os.close(nothing)


os.register_at_fork(after_in_child=_leave_to_parent)


def unwritable(folder: Path, error: OSError) -> str:
    """The sentence about a disk that refused to be written to."""
    return (
        f"{error.filename or folder} cannot be written: {error.strerror}. What was complete is "
        f"intact; make {folder} writable, with room, and execute the run again."
    )


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Calls `write` with a file that appears under `path` only when it is complete and on the disk.

    The temporary file lies in the target's own folder, so that `$TMPDIR` plays no part and the
    rename is atomic. Whatever goes wrong, an older file under `path` stays as it was.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        with part.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes a rename in the folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Writes a text, without the values that no file may hold (`arclight.masking`)."""
    write_whole(path, lambda file: file.write(masked(text).encode()))


def write_json(path: Path, content: dict[str, Any]) -> None:
    write_text(path, masked(json.dumps(content, indent=2)) + "\n")


def remove_leftovers(folder: Path) -> None:
    """Removes what a killed process left half-written."""
    for part in folder.glob(f".*{TEMPORARY}"):
        if part.is_dir() and not part.is_symlink():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)


def only_reading_is_asked() -> bool:
    """Whether a config that was found on disk is being built, which chooses no place to write."""
    return ONLY_READING in os.environ
