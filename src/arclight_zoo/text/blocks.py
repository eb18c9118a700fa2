"""Divide local or remote shards of text into blocks that can be read in any order.

This only needs the sizes of files. A block of a jsonl or txt file is a range of bytes, with the
lines that begin in it; a block of a parquet file is a range of row groups.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arclight.errors import UserError
from arclight_zoo.reading import remote_files
from arclight_zoo.reading.cache import cached
from arclight_zoo.reading.numbering import require_all
from arclight_zoo.reading.splits import Rows
from arclight_zoo.tokens.corpus import Chunks, Texts

SUFFIXES = (".parquet", ".jsonl", ".json", ".txt")
_AT_ONCE = 16  # concurrent requests for sizes of shards
_BLOCK = np.dtype([("shard", "<i4"), ("start", "<i8"), ("stop", "<i8"), ("size", "<i8")])


@dataclass(frozen=True)
class Shards:
    """The shards of one split.

    Attributes:
        path: of the data, for error messages.
        files: paths or URLs, all of one format.
        column: the text column; None for txt files.
        blocks: `(n,)` with the fields shard, start, stop (bytes, or row groups) and size (bytes).
        key: changes when the files change.
        content: changes when the content of the files changes, but not with their location; for
            local files it depends on names and sizes.
    """

    path: str
    files: list[str]
    column: str | None
    blocks: NDArray[Any]
    key: str
    content: str

    def texts(self, chosen: Rows) -> Texts:
        """All texts of the chosen blocks, in this order."""
        digest = hashlib.sha256(np.ascontiguousarray(chosen).data).hexdigest()
        read = lambda: (chunks for i in chosen.tolist() for chunks in self._read(i))  # noqa: E731
        return Texts(2, f"{self.key}|{digest}", read)

    def _read(self, number: int) -> Iterator[Chunks]:
        block = self.blocks[number]
        file, start, stop = self.files[block["shard"]], int(block["start"]), int(block["stop"])
        if file.endswith(".parquet"):
            assert self.column is not None
            with _parquet(file, self.key) as opened:
                for group in range(start, stop):
                    table = opened.read_row_group(group, columns=[self.column])
                    yield from (iter([text]) for text in table[0].to_pylist() if text)
        elif self.column is None:
            yield (line.decode(errors="replace") for _, line in _lines(file, start, stop))
        else:
            for place, line in _lines(file, start, stop):
                text = _field(file, place, line, self.column)
                if text:
                    yield iter([text])


def open_shards(
    path: str,
    files: Sequence[str],
    identity: str,
    text_column: str | None,
    block_bytes: int,
    cache: Path,
) -> Shards:
    """Finds the blocks; the result is cached.

    Args:
        path: of the data, for error messages.
        files: paths or URLs.
        identity: changes when the files change; for URLs, also with their location.
        text_column: of parquet and jsonl; None: `text`, `content` or `sentence`.
        block_bytes: approximate size of a block; parquet row groups are never split.

    Raises:
        UserError: a shard is missing, has another format than the rest, or lacks the column.
    """
    files = sorted(files)
    require_all(files)
    kinds = sorted({PurePosixPath(file).suffix for file in files})
    if len(kinds) > 1 or kinds[0] not in SUFFIXES:
        raise UserError(
            f"{path} has {', '.join(kinds)} files, which cannot be read in random order (needed: "
            f"shards of one format, {', '.join(SUFFIXES)}): convert them, or type data=text_file "
            "to encode them once into a file of tokens."
        )
    column = None if kinds[0] == ".txt" else _column(path, files[0], text_column)
    here = [file for file in files if remote_files.is_here(file)]
    key = hashlib.sha256(json.dumps([here, identity, column, block_bytes]).encode()).hexdigest()

    def look() -> NDArray[Any]:
        find = _of_groups if kinds[0] == ".parquet" else _of_lines
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            found = threads.map(lambda file: list(find(file, column, block_bytes)), files)
            rows = [(i, *row) for i, blocks in enumerate(found) for row in blocks]
        return np.array(rows, dtype=_BLOCK)

    blocks = cached(cache, f"blocks 1|{key}", look)
    if not len(blocks):
        raise UserError(f"The shards of {path} are all empty: choose another data.path.")
    told = [PurePosixPath(file).name for file in here] or identity
    content = hashlib.sha256(f"{told}|{column}".encode() + np.ascontiguousarray(blocks).data)
    return Shards(path, files, column, blocks, key, content.hexdigest())


def _of_lines(file: str, column: str | None, wanted: int) -> Iterator[tuple[int, int, int]]:
    size = remote_files.size(file)
    edges = np.linspace(0, size, max(1, round(size / wanted)) + 1).astype(int).tolist()
    for start, stop in pairwise(edges):
        if stop > start:
            yield start, stop, stop - start


def _of_groups(file: str, column: str | None, wanted: int) -> Iterator[tuple[int, int, int]]:
    """Blocks of row groups; small row groups are combined."""
    footer = _footer(file, "")
    names = [footer.schema.column(i).path for i in range(footer.num_columns)]
    if column not in names:
        raise UserError(
            f"Shard {file} has no column {column}, unlike the first one, only {', '.join(names)}: "
            "fix it, or leave it out."
        )
    start, size = 0, 0
    for group in range(footer.num_row_groups):
        size += footer.row_group(group).column(names.index(column)).total_uncompressed_size
        if size >= wanted or group == footer.num_row_groups - 1:
            yield start, group + 1, size
            start, size = group + 1, 0


def _column(path: str, file: str, given: str | None) -> str:
    """The given text column, or the usual one in the first shard."""
    if file.endswith(".parquet"):
        names = _footer(file, "").schema.to_arrow_schema().names
    else:
        _, line = next(_lines(file, 0, 1), (0, b"{}"))
        names = list(_fields(file, 0, line))
    found = [n for n in ("text", "content", "sentence") if n in names] or names
    if given is not None:
        if given not in names:
            raise UserError(
                f"data.text_column={given} is not a column of {path}: type one of "
                f"{', '.join(names)}."
            )
        return given
    if len(found) != 1:
        raise UserError(
            f"{path} has {len(found) or 'no'} columns that could be data.text_column: type "
            f"data.text_column=NAME with one of {', '.join(found or names)}."
        )
    return found[0]


def _field(file: str, place: int, line: bytes, column: str) -> str | None:
    fields = _fields(file, place, line)
    if column not in fields:
        raise UserError(
            f"The line at byte {place} of {file} has no {column}, only {', '.join(fields)}: fix "
            "it, or leave that shard out."
        )
    return str(fields[column]) if fields[column] is not None else None


def _fields(file: str, place: int, line: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise UserError(f"The line at byte {place} of {file} is not a JSON object: fix it.")
    return fields


def _lines(file: str, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """The non-empty lines that begin in a range of bytes, with their offsets."""
    with remote_files.opened(file, max(0, start - 1), stop) as content:
        place = start
        if start:
            place += len(content.readline()) - 1  # skip the rest of an earlier line
        while place < stop and (line := content.readline()):
            if line.strip():
                yield place, line
            place += len(line)


def _parquet(file: str, key: str) -> Any:
    """Opens a parquet file for one read: pyarrow crashes if threads share a reader."""
    from pyarrow.parquet import ParquetFile

    return ParquetFile(_source(file), metadata=_footer(file, key))


@lru_cache(maxsize=64)
def _footer(file: str, key: str) -> Any:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(_source(file)) as opened:
            return opened.metadata
    except pyarrow.ArrowInvalid as error:
        raise UserError(
            f"Shard {file} is truncated or not a parquet file: fetch it again, or remove it."
        ) from error


def _source(file: str) -> Any:
    return file if remote_files.is_here(file) else remote_files.Ranges(file)
