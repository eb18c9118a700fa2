"""Parse the cells of csv and jsonl tables, and show a row."""

import codecs
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arclight_zoo.reading.splits import TEST_NAMES, TRAIN_NAMES, VAL_NAMES

__all__ = ["Cells", "first_row", "suffix_of", "table_files"]

_MARKS = {  # UTF-32 first, since its mark begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_SHOWN = 40  # characters of a cell


@dataclass(frozen=True)
class Cells:
    """How csv files are read: cells are taken literally, and only empty ones are missing.

    Attributes:
        encoding: of csv and jsonl files; None: UTF-8, unless a byte order mark says otherwise.
        missing: values that also count as missing, such as `NA`.
    """

    encoding: str | None = None
    missing: tuple[str, ...] = ()

    def options(self, kind: str, file: Path) -> dict[str, Any]:
        """Keyword arguments for the reader of `datasets` or pandas."""
        encoding = self.encoding or encoding_of(file)
        options: dict[str, Any] = {"encoding": encoding} if encoding and kind != "parquet" else {}
        if kind == "csv":
            options |= {"keep_default_na": False, "na_values": ["", *self.missing]}
            options |= {"sep": "\t"} if suffix_of(file) == ".tsv" else {}
        return options


def encoding_of(file: Path) -> str | None:
    """The encoding that a file's byte order mark, or zeros in its first characters, declare.

    None if it has neither.
    """
    with file.open("rb") as opened:
        begin = opened.read(4)
    if len(begin) == 4 and not begin.startswith(tuple(_MARKS)):
        zeros = [byte == 0 for byte in begin]
        if zeros == [False, True, False, True]:
            return "utf-16-le"
        if zeros == [True, False, True, False]:
            return "utf-16-be"
    return next((name for mark, name in _MARKS.items() if begin.startswith(mark)), None)


def suffix_of(file: Path) -> str:
    """The last suffix in lower case."""
    return file.suffix.lower()


def table_files(folder: Path, suffixes: Collection[str]) -> dict[str, list[str]]:
    """The tables directly in a folder, by split; files that name no split are for training."""
    usual = {"train": TRAIN_NAMES, "validation": VAL_NAMES, "test": TEST_NAMES}
    found: dict[str, list[str]] = {}
    for file in sorted(folder.iterdir()):
        if suffix_of(file) not in suffixes or file.name.startswith("."):
            continue
        words = "".join(c if c.isalpha() else " " for c in file.stem.lower()).split()
        split = next((s for s, names in usual.items() if set(names) & set(words)), "train")
        found.setdefault(split, []).append(str(file.resolve()))
    return {split: found[split] for split in usual if split in found}  # the first sets the types


def first_row(row: dict[str, Any]) -> str:
    """The columns and cells of a row as text, for a message."""
    shown = {name: str(cell) for name, cell in row.items()}
    return ", ".join(
        f"{name}={cell if len(cell) <= _SHOWN else cell[:_SHOWN] + '...'!r}"
        for name, cell in shown.items()
    )
