"""Read tar shards in WebDataset's format: `train-000000.tar` with `KEY.jpg` and `KEY.cls`.

Each shard is scanned once for the offsets of its images; this index is cached. Images are then
read at their offsets, so samples may come in any order, and order, augmentation and resuming work
as for other image data.
"""

import hashlib
import json
import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arclight.errors import UserError
from arclight_zoo.pixels.decode import IMAGE_SUFFIXES, OR_SKIP, Take, read_image, upright
from arclight_zoo.pixels.source import Source, Split
from arclight_zoo.reading.cache import cached
from arclight_zoo.reading.classes import require_short
from arclight_zoo.reading.numbering import require_all
from arclight_zoo.reading.splits import TEST_NAMES, TRAIN_NAMES, VAL_NAMES, Wanted

CLASSES = "classes.txt"
_LABEL_KEYS = ("label", "cls", "class")  # in KEY.json
_BLOCK = 512  # bytes; tar pads to whole blocks, and ends with two empty ones
_NAME = 100  # bytes of the member's name in a header


@dataclass(frozen=True)
class TarSplit:
    """Images in shards: image i is `sizes[i]` bytes at `offsets[i]` of `files[shards[i]]`."""

    name: str
    files: list[Path]
    shards: NDArray[np.int32]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    labels: NDArray[np.int64]
    fingerprint: str
    pixels: None = None

    def image(self, index: int, take: Take = upright) -> Any:
        return read_image(self.content(index), self.where(index), OR_SKIP, take)

    def content(self, index: int) -> bytes:
        offset, size = int(self.offsets[index]), int(self.sizes[index])
        read = self._read(index, offset, size)
        if len(read) < size:
            raise UserError(_truncated(self.files[self.shards[index]]))
        return read

    def where(self, index: int) -> str:
        return f"{self.member(index)} in {self.files[self.shards[index]]}"

    def member(self, index: int) -> str:
        """The image's name in its shard, from the header before it."""
        header = self._read(index, int(self.offsets[index]) - _BLOCK, _NAME)
        return header.rstrip(b"\0").decode(errors="replace")

    def _read(self, index: int, offset: int, size: int) -> bytes:
        file = _opened(self.files[self.shards[index]], self.fingerprint)
        return os.pread(file.handle, size, offset)


class _Opened:
    """An open shard; `pread` has no file position, so threads and forks can share it."""

    def __init__(self, file: Path) -> None:
        self.handle = os.open(file, os.O_RDONLY)

    def __del__(self) -> None:
        if hasattr(self, "handle"):
            os.close(self.handle)


@lru_cache(maxsize=128)  # well below the limit of open files
def _opened(file: Path, fingerprint: str) -> _Opened:
    try:
        return _Opened(file)
    except OSError as error:
        raise UserError(
            f"Shard {file} cannot be opened ({error.strerror}): put it back, or start a new run."
        ) from error


def holds_tars(folder: Path) -> bool:
    """Whether there are tar shards in the folder or its subfolders."""
    return next(_shards(folder), None) is not None


def open_tars(
    folder: Path, cache: Path, label_column: str | None = None, wanted: Wanted = tuple
) -> Source:
    """Opens the shards of a folder.

    The split of a shard is the first usual split name in its file or folder name, such as
    `train-000000.tar`; without one it is training data. If there is a `classes.txt`, its lines are
    the classes, and a label is a line or its number from 0. Otherwise the classes are the sorted
    labels of the opened splits.

    Args:
        folder: holds the shards, or folders with shards.
        cache: folder for the index.
        label_column: the key in KEY.json; None: KEY.cls, or else label, cls or class of KEY.json.
        wanted: chooses the splits that are opened, given their names.

    Raises:
        UserError: a shard is missing, truncated or compressed, a sample lacks its image or label,
            or a label is not a class.
    """
    by_split: dict[str, list[Path]] = {}
    for file in sorted(_shards(folder)):
        by_split.setdefault(_split_name(file.relative_to(folder)), []).append(file)
    by_split = {name: by_split[name] for name in wanted(by_split)}
    for files in by_split.values():
        require_all(list(map(str, files)))
    indices = {name: _index(folder, files, cache, label_column) for name, files in by_split.items()}
    names = _class_names(folder, [found["label"] for found, _ in indices.values()])
    number = {name: i for i, name in enumerate(names)}
    splits: dict[str, Split] = {}
    for name, (found, fingerprint) in indices.items():
        texts, which = np.unique(found["label"], return_inverse=True)
        known = np.array([_number(text, number, folder) for text in texts.tolist()], dtype=np.int64)
        shards, offsets, sizes = (
            np.ascontiguousarray(found[key]) for key in ("shard", "offset", "size")
        )
        splits[name] = TarSplit(
            name, by_split[name], shards, offsets, sizes, known[which], fingerprint
        )
    return Source(str(folder), names, splits)


def shards_of(split: Split) -> NDArray[np.int32] | None:
    """The shard of each image; None for data without shards."""
    from arclight_zoo.pixels.unreadable import Subset

    if isinstance(split, Subset):
        shards = shards_of(split.whole)
        return None if shards is None else shards[split.rows]
    return split.shards if isinstance(split, TarSplit) else None


def require_shards(split: Split, path: str, window: int) -> NDArray[np.int32]:
    """The shard of each image; raises `UserError` for data without shards."""
    shards = shards_of(split)
    if shards is None:
        raise UserError(
            f"data.shuffle_window={window} is a number of tar shards, but {path} has none: type "
            "data.shuffle_window=null."
        )
    return shards


def _shards(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for file in sorted(files):
            if file.endswith((".tar.gz", ".tgz", ".tar.zst")):
                raise UserError(
                    f"{Path(here, file)} is compressed, so its images cannot be read in random "
                    "order: unpack it to a plain .tar (compression does not make images smaller)."
                )
            if file.endswith(".tar") and not file.startswith("."):
                yield Path(here, file)


def _split_name(place: Path) -> str:
    words = re.split(r"[^a-z]+", place.as_posix().lower())
    usual = (*TRAIN_NAMES, *VAL_NAMES, *TEST_NAMES)
    return next((word for word in words if word in usual), "train")


def _index(
    folder: Path, files: Sequence[Path], cache: Path, label_column: str | None
) -> tuple[NDArray[Any], str]:
    """Shard, offset, size and label (as text) of each image, and the fingerprint of the files."""
    stats = [(str(f.relative_to(folder)), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    fingerprint = hashlib.sha256(json.dumps(stats).encode()).hexdigest()

    def look() -> NDArray[Any]:
        rows = [(i, *row) for i, file in enumerate(files) for row in _samples(file, label_column)]
        width = max((len(row[-1]) for row in rows), default=1)
        kind = [("shard", "<i4"), ("offset", "<i8"), ("size", "<i8"), ("label", f"<U{width}")]
        return np.array(rows, dtype=kind)

    return cached(cache, f"tar index 1|{fingerprint}|{label_column}", look), fingerprint


def _samples(file: Path, label_column: str | None) -> Iterator[tuple[int, int, str]]:
    """Offset, size and label of each image of one shard."""
    images: dict[str, tuple[int, int]] = {}
    labels: dict[str, str] = {}
    try:
        with tarfile.open(file, "r:") as shard:
            end = 0
            for member in shard:
                end = member.offset_data + -(-member.size // _BLOCK) * _BLOCK
                if not member.isfile():
                    continue
                place = PurePosixPath(member.name)
                base, _, suffix = place.name.partition(".")
                key, suffix = str(place.with_name(base or place.name)), f".{suffix.lower()}"
                if suffix.endswith(IMAGE_SUFFIXES):
                    if key in images:
                        raise UserError(f"{key} in shard {file} has two images: leave one.")
                    images[key] = member.offset_data, member.size
                elif suffix == ".json" or (suffix == ".cls" and label_column is None):
                    content = shard.extractfile(member)
                    assert content is not None
                    label = _label(content.read(), suffix, label_column)
                    if label is not None and (suffix == ".cls" or key not in labels):
                        labels[key] = label
            whole = file.stat().st_size >= end + _BLOCK
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UserError(_truncated(file)) from error
    if not whole:
        raise UserError(_truncated(file))
    for key, (offset, size) in images.items():
        if key not in labels:
            wanted = f"a {label_column} in its .json" if label_column else ".cls or .json with one"
            raise UserError(
                f"{key} in shard {file} has no label ({wanted}): add it, or remove the image; if "
                "it has another name in the .json, type data.label_column=NAME."
            )
        require_short([labels[key]])
        yield offset, size, labels[key]
    for key in labels.keys() - images.keys():
        raise UserError(
            f"{key} in shard {file} has a label but no image ({', '.join(IMAGE_SUFFIXES)}): add "
            "it, or remove the label."
        )


def _label(content: bytes, suffix: str, label_column: str | None) -> str | None:
    if suffix == ".cls":
        return content.decode(errors="replace").strip() or None
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        return None
    keys = _LABEL_KEYS if label_column is None else (label_column,)
    found = (fields[key] for key in keys if key in fields) if isinstance(fields, dict) else ()
    label = next(iter(found), None)
    return str(label) if isinstance(label, int | str) else None


def _class_names(folder: Path, labels: Sequence[NDArray[Any]]) -> list[str]:
    file = folder / CLASSES
    if file.is_file():
        return [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line]
    distinct = sorted({text for found in labels for text in np.unique(found).tolist()})
    if all(text.isdecimal() for text in distinct):
        distinct.sort(key=int)
    return distinct


def _number(label: str, number: dict[str, int], folder: Path) -> int:
    if label in number:
        return number[label]
    if label.isdecimal() and int(label) < len(number):
        return int(label)
    raise UserError(
        f"Label {label} of the shards in {folder} is not one of the {len(number)} classes in "
        f"{CLASSES}: fix that file, which lists one class per line, in the order of their numbers."
    )


def _truncated(file: Path) -> str:
    return f"Shard {file} is truncated or not a tar file: fetch it again, or remove it."
