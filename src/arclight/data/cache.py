"""Arrays that cost time to make, kept as files."""

import fcntl
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arclight.errors import UserError
from arclight.files import write_whole


def cache_folder(given: str | None) -> Path:
    """`given`, else `$ARCLIGHT_CACHE`, else `~/.cache/arclight`."""
    return Path(given or os.environ.get("ARCLIGHT_CACHE") or "~/.cache/arclight").expanduser()


def cached(folder: Path, key: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """The array that `make` returns, memory-mapped from the file that this key names.

    The file appears whole or not at all, and of any number of processes that ask for it at once
    one makes it while the others wait.

    Args:
        folder: the cache.
        key: everything that the array depends on.
        make: called when no such file exists.

    Raises:
        UserError: the cache cannot be written.
    """
    file = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npy"
    if not file.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with file.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not file.exists():
                    made = make()
                    write_whole(file, lambda out: np.save(out, made))
            file.with_suffix(".lock").unlink(missing_ok=True)
        except OSError as error:
            raise UserError(
                f"The cache folder {folder} cannot be written ({error.strerror}): "
                "type data.cache=FOLDER with one that can."
            ) from error
    # Copy on write: processes share the pages, and torch gets the writable array it asks for.
    array: NDArray[Any] = np.load(file, mmap_mode="c")
    return array
