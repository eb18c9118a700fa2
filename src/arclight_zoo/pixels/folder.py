"""Read class folders: `train/CLASS/*.png` with `val` and `test` beside it, or `CLASS/*.png`.

Not with `datasets`, which copies every path into a cache first and silently drops class folders
without images.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arclight.errors import UserError
from arclight_zoo.pixels.decode import OR_SKIP, Take, read_image, upright
from arclight_zoo.pixels.source import Source, Split
from arclight_zoo.reading.splits import TEST_NAMES, TRAIN_NAMES, VAL_NAMES, Wanted

IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"),
    *(".tif", ".tiff", ".pgm", ".ppm", ".avif", ".npy"),
)
_SPLIT_NAMES = (*TRAIN_NAMES, *VAL_NAMES, *TEST_NAMES)


@dataclass(frozen=True)
class FilesSplit:
    """Image files and their labels."""

    name: str
    files: list[Path]
    labels: NDArray[np.int64]
    fingerprint: str
    pixels: None = None

    def image(self, index: int, take: Take = upright) -> Any:
        return read_image(self.files[index], self.where(index), OR_SKIP, take)

    def content(self, index: int) -> bytes:
        return self.files[index].read_bytes()

    def where(self, index: int) -> str:
        return str(self.files[index])


def holds_class_folders(folder: Path) -> bool:
    """Whether there are images in class folders, and no table beside them."""
    splits = _split_folders(folder) or [folder]
    if any(f.glob("metadata.*") and list(f.glob("metadata.*")) for f in (folder, *splits)):
        return False
    return any(next(_images(c), None) for split in splits for c in _subfolders(split))


def open_folder(folder: Path, wanted: Wanted = tuple) -> Source:
    """Opens a folder of class folders; classes are numbered in the order of their names.

    Args:
        folder: of class folders, or of splits that are.
        wanted: which of its splits, given their names.

    Raises:
        UserError: a class folder has no images, or a split has a class without training images.
    """
    every = {f.name: f for f in _split_folders(folder)} or {"train": folder}
    by_split = {name: every[name] for name in wanted(every)}
    first = next((name for name in TRAIN_NAMES if name in by_split), next(iter(by_split)))
    class_names = [f.name for f in _subfolders(by_split[first])]
    for name, split in by_split.items():
        for unknown in [f for f in _subfolders(split) if f.name not in class_names]:
            raise UserError(
                f"Class folder {unknown} has no counterpart in {by_split[first]}: rename or "
                f"remove it (the {name} images may only have classes of the {first} images)."
            )
    splits: dict[str, Split] = {n: _open_split(n, f, class_names) for n, f in by_split.items()}
    return Source(str(folder), class_names, splits)


def _open_split(name: str, folder: Path, class_names: list[str]) -> FilesSplit:
    files: list[Path] = []
    labels: list[int] = []
    for class_folder in _subfolders(folder):
        found = list(_images(class_folder))
        if not found:
            raise UserError(
                f"Class folder {class_folder} holds no images ({', '.join(IMAGE_SUFFIXES)}): "
                "fill it or remove it."
            )
        files += found
        labels += [class_names.index(class_folder.name)] * len(found)
    digest = hashlib.sha256()
    for file in files:
        stat = file.stat()
        digest.update(f"{file.relative_to(folder)}|{stat.st_size}|{stat.st_mtime_ns}\n".encode())
    return FilesSplit(name, files, np.array(labels, dtype=np.int64), digest.hexdigest())


def _split_folders(folder: Path) -> list[Path]:
    found = [f for f in _subfolders(folder) if f.name.lower() in _SPLIT_NAMES]
    return found if any(f.name.lower() in TRAIN_NAMES for f in found) else []


def _subfolders(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))


def _images(folder: Path) -> Iterator[Path]:
    """Image files below the folder, sorted by name."""
    seen: set[str] = set()  # links may form a cycle
    for here, folders, files in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(here)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for file in sorted(files):
            if file.lower().endswith(IMAGE_SUFFIXES) and not file.startswith("."):
                yield Path(here, file)
