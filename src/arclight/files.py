"""Write files atomically (write a temporary file, sync, rename), and lock files."""

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
    "is_only_reading",
    "lock",
    "open_lock",
    "write_json",
    "write_text",
    "write_whole",
]

ONLY_READING = "ARCLIGHT_ONLY_READING"
"""The environment variable for read-only builds; child processes inherit it."""

TEMPORARY = ".part"

# Errors of a disk that is full or not writable.
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)

# Errors of a file system that has no locks, or has lost its lock service.
UNLOCKABLE = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK)


class NoLocksError(UserError):
    """Raised when the file system of a file has no locks."""


def lock(file: IO[Any], kind: int) -> bool:
    """Locks an open file until it is closed or its process ends.

    Forked children release it immediately, so that a data worker that outlives a killed run does
    not keep the lock.

    Args:
        file: the open file.
        kind: the operation of `fcntl.flock`.

    Returns:
        Whether the file was locked; False if another process has locked it and `kind` does not
        wait.

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
            f"{file.name} cannot be locked ({error.strerror}): its file system has no locks. They "
            "need the mount option flock on Lustre, and the lock service on NFS."
        ) from error
    _locked.add(file)
    return True


def open_lock(path: Path) -> IO[str]:
    """Opens or creates a file to lock; does not empty it or follow links.

    Raises:
        UserError: the file is a link.
    """
    more = os.O_CREAT | os.O_NOFOLLOW
    try:
        return open(path, "r+", opener=lambda name, flags: os.open(name, flags | more, 0o666))
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise UserError(f"{path} is a link but should be a file: remove it.") from error


_locked: WeakSet[IO[Any]] = WeakSet()


def _release_in_child() -> None:
    """Releases the locks in a forked child; the parent keeps them.

    `file.close()` could wait for a Python lock that another thread held during the fork.
    """
    nothing = os.open(os.devnull, os.O_RDONLY)
    for file in list(_locked):
        if not file.closed:
            os.dup2(nothing, file.fileno(), inheritable=False)
    os.close(nothing)


os.register_at_fork(after_in_child=_release_in_child)


def unwritable(folder: Path, error: OSError) -> str:
    """The error message for a disk that cannot be written."""
    return (
        f"{error.filename or folder} cannot be written: {error.strerror}. Complete files are "
        f"intact; make {folder} writable, with free space, and execute the run again."
    )


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Writes a file atomically: it appears at `path` only when it is complete and on the disk.

    The temporary file is in the same folder, whatever `$TMPDIR` is, so the rename is atomic. After
    an error, an older file at `path` is unchanged.

    Args:
        path: the file.
        write: called with the temporary file, opened for writing in binary mode.
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
    """Syncs a folder, so that renames in it survive a power failure."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Writes a text atomically, with secrets masked (`arclight.masking`)."""
    write_whole(path, lambda file: file.write(masked(text).encode()))


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a mapping as JSON, atomically and with secrets masked."""
    write_text(path, masked(json.dumps(content, indent=2)) + "\n")


def remove_leftovers(folder: Path) -> None:
    """Removes temporary files of killed processes."""
    for part in folder.glob(f".*{TEMPORARY}"):
        if part.is_dir() and not part.is_symlink():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)


def is_only_reading() -> bool:
    """Whether a config that was found on disk is being built; it must not choose where to write."""
    return ONLY_READING in os.environ
