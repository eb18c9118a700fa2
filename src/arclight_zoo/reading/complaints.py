"""Find out why a file or folder cannot be read as a table."""

import csv
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from arclight.errors import UserError
from arclight_zoo.reading.cells import Cells, encoding_of, suffix_of, table_files
from arclight_zoo.reading.splits import TRAIN_NAMES

IMAGES = "parquet files (train-*.parquet) or class folders of images"
TEXTS = "csv, jsonl or parquet files, named by split (train.csv, test.csv), or txt files"

_OTHER_SEPARATORS = {";": "';'", "\t": "tabs", "|": "'|'"}


def require_commas(place: Path) -> None:
    """Raises `UserError` for a csv file whose first line has another separator but no comma."""
    if suffix_of(place) == ".csv":
        encoding = encoding_of(place) or "utf-8-sig"
        with place.open(encoding=encoding, errors="replace") as lines:
            refuse_separator(str(place), lines.readline().rstrip("\r\n"))


def require_distinct_names(place: Path, cells: Cells) -> None:
    """Raises `UserError` for a csv file with two columns of the same name.

    Args:
        place: a file, or a folder of files.
        cells: how they are read.
    """
    files = [place] if place.is_file() else sorted(place.iterdir())
    for file in files:
        if suffix_of(file) != ".csv" or not file.is_file():
            continue
        encoding = cells.encoding or encoding_of(file) or "utf-8-sig"
        with file.open(encoding=encoding, errors="replace", newline="") as lines:
            try:
                header = next(csv.reader(lines), [])
            except csv.Error:
                continue  # reading the table reports it
        if twice := next((name for name in header if name and header.count(name) > 1), None):
            raise UserError(f"{file} has several columns named {twice}: give each its own name.")


def refuse_separator(path: str, header: str) -> None:
    """Raises `UserError` if the only column's name looks like several columns."""
    found = next((s for s in _OTHER_SEPARATORS if s in header and "," not in header), None)
    if found:
        raise UserError(
            f"{path} has one column, named {header!r}. It looks separated by "
            f"{_OTHER_SEPARATORS[found]}, but csv files are split at commas: convert it to commas."
        )


def fault(
    path: str, place: Path, cause: BaseException, holds: str, cells: Cells | None = None
) -> str:
    """The error message for a local file or folder that could not be read.

    Args:
        path: its name as the user gave it.
        place: where it is.
        cause: the reader's error.
        holds: what was expected: `IMAGES` or `TEXTS`.
        cells: how its cells were read, if the config says so.
    """
    for file in _tables(place):
        if file == place or file.name in str(cause):  # the broken file of a folder
            if not file.stat().st_size:
                return f"{file} is empty: fill it or remove it."
            require_commas(file)
        if isinstance(cause, UnicodeDecodeError) and not _is_utf8(file):
            if cells is not None:
                tried = f"{cells.encoding or 'UTF-8'} ({cause.reason})"
                return (
                    f"{file} is not text in {tried}: type data.encoding=NAME with its encoding, "
                    "such as latin-1, cp1252 or utf-16."
                )
            return (
                f"{file} is not text in UTF-8 ({cause.reason}): convert it, for example with "
                "iconv -f latin1 -t utf-8."
            )
        broken = _broken_line(file) if suffix_of(file) == ".jsonl" else None
        if broken:
            return f"Line {broken} of {file} is not a JSON object: fix or remove it."
        if file.stem == "metadata" and "file_name" in str(cause):
            return (
                f"{file} has no column file_name, which names the image of each row: add it, or "
                "rename the one that does."
            )
    if cells is not None and place.is_dir() and (other := _other_kind(place, cells)):
        return other
    if place.is_dir() and "No (supported) data files" in str(cause):
        files = (f for f in place.rglob("*") if f.is_file() and not f.name.startswith("."))
        kinds = sorted({suffix_of(f) or f.name for f in islice(files, 10_000)})
        some = f"only {', '.join(kinds[:5])} files" if kinds else "no files"
        return (
            f"data.path={path} holds {some}, which cannot be read: convert them, or type "
            f"data.path=FOLDER with one that holds {holds}."
        )
    if "corresponds to no data" in str(cause):
        return f"{path} has no rows: fill it, or type another data.path."
    words = " ".join(str(cause).split())[:300].rstrip(".")
    if place.is_file():
        return f"data.path={path} cannot be read as {place.suffix} ({words}): fix or convert it."
    return (
        f"data.path={path} cannot be read as a data set ({words}): type data.path=FOLDER with one "
        f"that holds {holds}."
    )


def images_alone(path: str, label_column: str | Sequence[str] | None) -> str:
    """The error message for a folder of images without labels or other targets."""
    if label_column is None:
        return (
            f"{path} has images but no class folders: put the images of each class into their own "
            f"folder, {path}/CLASS/*.png, or type data.path=FOLDER with the folder above."
        )
    named = label_column if isinstance(label_column, str) else ", ".join(label_column)
    return (
        f"{path} has images, but no file with their {named}: put a metadata.csv beside "
        f"them, with the columns file_name and {named}."
    )


def _tables(place: Path) -> Iterator[Path]:
    files = [place] if place.is_file() else sorted(place.rglob("*"))
    return (f for f in files if suffix_of(f) in (".csv", ".jsonl", ".json", ".txt") and f.is_file())


def _other_kind(folder: Path, cells: Cells) -> str | None:
    """The message if the tables of a folder differ in their columns or in a column's type."""
    import pandas
    from pandas.api.types import is_numeric_dtype

    first: tuple[Path, Any] | None = None
    files = [Path(one) for split in table_files(folder, [".csv"]).values() for one in split]
    for file in sorted(files, key=lambda f: not set(TRAIN_NAMES) & set(f.stem.lower().split())):
        try:
            table = pandas.read_csv(file, **cells.options("csv", file))
        except (ValueError, OSError):  # includes pandas' own errors
            continue
        before, first = first, first or (file, table)
        if before is None:
            continue
        if lacks := [c for c in before[1].columns if c not in table.columns]:
            return f"{file} has no column {lacks[0]}, which {before[0].name} has: add it."
        if more := [c for c in table.columns if c not in before[1].columns]:
            return (
                f"{file} has a column {more[0]}, which {before[0].name} lacks: add it there, or "
                "remove it."
            )
        for column in before[1].columns:
            if table[column].isna().all():
                return (
                    f"The column {column} of {file} is empty: fill it, or type another split, "
                    f"such as data.test_split=train."
                )
            numbers = [bool(is_numeric_dtype(one[column])) for one in (before[1], table)]
            if numbers[0] == numbers[1]:
                continue
            name, texts = (file, table[column]) if numbers[0] else (before[0], before[1][column])
            row = int((pandas.to_numeric(texts, errors="coerce").isna() & texts.notna()).argmax())
            other = before[0] if numbers[0] else file
            return (
                f"Row {row} of {name} has {texts.iloc[row]!r} in the column {column}, where "
                f"{other.name} has numbers: write the same kind of value in both."
            )
    return None


def _is_utf8(file: Path) -> bool:
    with file.open(encoding="utf-8") as text:
        try:
            while text.read(1_000_000):
                pass
        except UnicodeDecodeError:
            return False
    return True


def _broken_line(file: Path) -> int | None:
    """The number of the first line that is not a JSON object, from 1."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                good = not line.strip() or isinstance(json.loads(line), dict)
            except (ValueError, RecursionError):
                good = False
            if not good:
                return number
    return None
