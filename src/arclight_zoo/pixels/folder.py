"""Read class folders: `train/CLASS/*.png` with `val` and `test` beside it, or `CLASS/*.png`.

Not with `datasets`, which copies every path into a cache first and silently drops class folders
without images.
"""

import hashlib
import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arclight.errors import UserError
from arclight_zoo.pixels.decode import IMAGE_SUFFIXES, OR_SKIP, Take, read_image, upright
from arclight_zoo.pixels.source import Source, Split
from arclight_zoo.reading.splits import TEST_NAMES, TRAIN_NAMES, VAL_NAMES, Wanted

TABLES = (".parquet", ".csv", ".jsonl", ".json")  # may hold the labels
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
        try:
            return self.files[index].read_bytes()
        except OSError as error:
            raise UserError(
                f"{self.where(index)} cannot be read: replace or remove it{OR_SKIP}."
            ) from error

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
        UserError: a split has no class folders, a class folder has no images, or a split has a
            class without training images.
    """
    every = {f.name: f for f in _split_folders(folder)} or {"train": folder}
    by_split = {name: every[name] for name in wanted(every)}
    first = next((name for name in TRAIN_NAMES if name in by_split), next(iter(by_split)))
    for split in by_split.values():
        if not _subfolders(split) and next(_images(split), None):
            raise UserError(without_classes(split))
    class_names = list(dict.fromkeys(map(_class_of, _subfolders(by_split[first]))))
    for name, split in by_split.items():
        for unknown in [f for f in _subfolders(split) if _class_of(f) not in class_names]:
            raise UserError(
                f"Class folder {unknown} has no counterpart in {by_split[first]}: rename or "
                f"remove it (the {name} images may only have classes of the {first} images)."
            )
    splits: dict[str, Split] = {n: _open_split(n, f, class_names) for n, f in by_split.items()}
    notes = [note for split in by_split.values() for note in _left_out(split)]
    return Source(str(folder), class_names, splits, notes=tuple(notes))


def without_classes(split: Path) -> str:
    """The error message for a folder of a split with images but no class folders."""
    stage = "val" if split.name.lower() in VAL_NAMES else "test"
    other = (
        ""
        if split.name.lower() in TRAIN_NAMES
        else (f", or type data.{stage}_split=NAME with another split, such as train")
    )
    return (
        f"{split} has images but no class folders, so they have no labels: put the images of each "
        f"class into their own folder, {split}/CLASS/*.png{other}."
    )


def folder_without_classes(folder: Path) -> Path | None:
    """The first of train, val and test folders that has images but no class folders."""
    for split in _split_folders(folder):
        tables = any(f.suffix.lower() in TABLES for f in split.iterdir())
        if not tables and not _subfolders(split) and next(_images(split), None):
            return split
    return None


def _class_of(folder: Path) -> str:
    """The class's name; composed, since macOS stores decomposed names."""
    return unicodedata.normalize("NFC", folder.name)


def _left_out(split: Path) -> Iterator[str]:
    """A message about files in class folders that are not read."""
    others = [
        file
        for class_folder in _subfolders(split)
        for file in _files(class_folder)
        if not file.name.lower().endswith(IMAGE_SUFFIXES)
    ]
    if others:
        kinds = sorted({file.suffix.lower() or file.name for file in others})
        yield (
            f"Left out {len(others):,} files in {split} that are not images of a known format "
            f"({', '.join(kinds[:5])}{', ...' if kinds[5:] else ''}), such as {others[0].name!r}."
        )


def _open_split(name: str, folder: Path, class_names: list[str]) -> FilesSplit:
    files: list[Path] = []
    labels: list[int] = []
    for class_folder in _subfolders(folder):
        found = list(_images(class_folder))
        if not found:
            kinds = sorted({file.suffix.lower() for file in _files(class_folder)})
            only = f", only {', '.join(kinds[:5])} files" if kinds else ""
            raise UserError(
                f"Class folder {class_folder} holds no images ({', '.join(IMAGE_SUFFIXES)}){only}: "
                f"{'convert them, ' if kinds else ''}fill it or remove it."
            )
        files += found
        labels += [class_names.index(_class_of(class_folder))] * len(found)
    digest = hashlib.sha256()
    for file in files:
        stat = file.stat() if file.exists() else file.lstat()  # reading a broken link reports it
        line = f"{file.relative_to(folder)}|{stat.st_size}|{stat.st_mtime_ns}\n"
        digest.update(line.encode(errors="surrogateescape"))
    return FilesSplit(name, files, np.array(labels, dtype=np.int64), digest.hexdigest())


def _split_folders(folder: Path) -> list[Path]:
    """Folders named as splits: one is for training, or there are only such, with classes."""
    every = _subfolders(folder)
    found = [f for f in every if f.name.lower() in _SPLIT_NAMES]
    known = any(f.name.lower() in TRAIN_NAMES for f in found)
    return found if known or (found == every and all(map(_subfolders, found))) else []


def _subfolders(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))


def _images(folder: Path) -> Iterator[Path]:
    """Image files below the folder, sorted by name."""
    return (file for file in _files(folder) if file.name.lower().endswith(IMAGE_SUFFIXES))


def _files(folder: Path) -> Iterator[Path]:
    """Files below the folder that are not hidden, sorted by name."""
    seen: set[str] = set()  # links may form a cycle
    for here, folders, files in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(here)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for file in sorted(files):
            if not file.startswith("."):
                yield Path(here, file)
