"""A cache on disk for arrays that take long to compute."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from arclight.errors import UserError
from arclight.files import NoLocksError, is_only_reading, lock, open_lock, write_whole


def cache_folder(given: str | None) -> Path:
    """`given`, else `$ARCLIGHT_CACHE`, else `~/.cache/arclight`.

    Where a run only reads, its config does not decide where files are written, and `given` is
    ignored. Users without a home directory, as in containers, get a folder under the temporary one.
    """
    given = None if is_only_reading() else given
    place = Path(given or os.environ.get("ARCLIGHT_CACHE") or "~/.cache/arclight")
    try:
        return place.expanduser()
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"arclight-cache-{os.getuid()}"


def cached(folder: Path, key: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """The array that `make` returns, memory-mapped from the file that this key names.

    The file is written atomically. Where several processes need it at the same time, one makes it
    and the others wait.

    Args:
        folder: the cache.
        key: everything that the array depends on.
        make: called when no such file exists.

    Raises:
        UserError: the cache folder is not writable.
    """
    return _kept(folder, key, lambda out: np.save(out, make()))


def grown(
    folder: Path, key: str, parts: Callable[[], Iterable[NDArray[Any]]], kind: DTypeLike
) -> NDArray[Any]:
    """Like `cached`, for arrays that may not fit into memory: concatenates the parts on disk.

    Args:
        folder: the cache.
        key: everything that the array depends on.
        parts: called when no such file exists; each part is `(n,)`.
        kind: dtype of the elements.
    """
    return _kept(folder, key, lambda out: _append(out, parts(), np.dtype(kind)))


def _append(out: IO[bytes], parts: Iterable[NDArray[Any]], kind: np.dtype[Any]) -> None:
    def header(length: int) -> int:
        out.seek(0)
        fields = {"descr": kind.str, "fortran_order": False, "shape": (length,)}
        np.lib.format.write_array_header_1_0(out, fields)
        return out.tell()

    begin, length = header(0), 0
    for part in parts:
        out.write(np.ascontiguousarray(part, dtype=kind).data)
        length += len(part)
    assert header(length) == begin  # numpy reserves space in the header for any length


def _kept(folder: Path, key: str, write: Callable[[IO[bytes]], None]) -> NDArray[Any]:
    file = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npy"
    if not file.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with open_lock(file.with_suffix(".lock")) as held:
                with suppress(NoLocksError):  # the lock only saves others the same work
                    lock(held, fcntl.LOCK_EX)
                if not file.exists():
                    write_whole(file, write)
            file.with_suffix(".lock").unlink(missing_ok=True)
        except OSError as error:
            raise UserError(
                f"The cache folder {folder} is not writable ({error.strerror}): "
                "type data.cache=FOLDER with a writable one."
            ) from error
    # Copy on write: processes share the pages, and torch gets the writable array it asks for.
    array: NDArray[Any] = np.load(file, mmap_mode="c")
    return array
