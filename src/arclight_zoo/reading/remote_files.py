"""Read byte ranges of local and remote files, and fetch no more than these.

Files that fsspec opens read 5 MB ahead of each request, and copy as much for each line.
"""

import io
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar

from arclight.errors import UserError
from arclight.network import CutOffError, is_temporary, refusal

log = logging.getLogger("arclight.data")

_Answer = TypeVar("_Answer")

_TRIES = 3  # in each, the hub's client tries up to six times, for about half a minute
_PAUSE = 5.0  # seconds between them
_MORE = 2**16  # bytes per request beyond the planned range


def is_here(file: str) -> bool:
    return "://" not in file


def opened(file: str, start: int, stop: int) -> IO[bytes]:
    """Opens a file at byte `start`, to be read up to about byte `stop`.

    One request fetches this range and a little more, since its last line may end later.
    """
    if is_here(file):
        content: IO[bytes] = Path(file).open("rb")  # noqa: SIM115
    else:
        planned = stop + (stop - start) // 16
        content = io.BufferedReader(Ranges(file, planned), max(_MORE, planned - start))
    content.seek(start)
    return content


def size(file: str) -> int:
    """The size of a file in bytes.

    Raises:
        UserError: the file is not reachable.
    """
    if is_here(file):
        return Path(file).stat().st_size
    return int(_patiently(file, lambda: _info(file))["size"])


def identity(file: str) -> str:
    """Identifies the content of a remote file; does not depend on other files beside it.

    Raises:
        UserError: the file is not reachable.
    """
    told = _patiently(file, lambda: _info(file))
    large = told.get("lfs")
    return str(large["sha256"] if large else told.get("blob_id") or told)


class Ranges(io.RawIOBase):
    """A remote file; each read is one request for just these bytes.

    Args:
        file: its URL, of any kind that fsspec supports.
        planned: where reading will probably end; requests beyond it are small.

    Raises:
        UserError: on reading, if the file is unreachable for more than a few minutes.
    """

    def __init__(self, file: str, planned: int | None = None) -> None:
        self.file, self.size, self.place = file, size(file), 0
        self.planned = self.size if planned is None else planned

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: self.size}[whence]
        self.place = begin + offset
        return self.place

    def readinto(self, into: Any) -> int:
        left = self.planned - self.place
        most = min(len(into), left if left > 0 else _MORE, self.size - self.place)
        if most <= 0:
            return 0
        begin, stop = self.place, self.place + most
        into[:most] = _patiently(self.file, lambda: _fetch(self.file, begin, stop))
        self.place = stop
        return most


def _fetch(file: str, start: int, stop: int) -> bytes:
    import fsspec  # type: ignore[import-untyped]

    system, place = fsspec.core.url_to_fs(file)
    with system.open(place, "rb", cache_type="none") as content:
        content.seek(start)
        found: bytes = content.read(stop - start)
    if len(found) != stop - start:
        raise CutOffError(f"received {len(found)} of {stop - start} bytes")
    return found


def _info(file: str) -> dict[str, Any]:
    import fsspec

    system, place = fsspec.core.url_to_fs(file)
    found: dict[str, Any] = system.info(place)
    return found


def _patiently(file: str, ask: Callable[[], _Answer]) -> _Answer:
    """Calls `ask`, and retries it during outages of up to a few minutes."""
    tries = 0
    while True:
        tries += 1
        try:
            return ask()
        except Exception as error:  # fsspec, the hub and connections raise many error types
            passes = is_temporary(error)
            if not passes and not isinstance(error, OSError):
                raise
            words = refusal(error) or f"cannot be read ({' '.join(str(error).split())[:100]})"
            if not passes:
                raise UserError(
                    f"{file} {words}; with a local copy, type data.path=FOLDER."
                ) from error
            if tries == _TRIES:
                raise UserError(
                    f"{file} {words}; then type the command again, and the run continues where "
                    "it stopped."
                ) from error
            log.warning(f"{file} {words}.")
            time.sleep(_PAUSE)
