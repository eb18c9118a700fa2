"""Texts that may not fit into memory, read piece by piece."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arclight.errors import UserError
from arclight.seeds import mix
from arclight_zoo.reading.cache import cached
from arclight_zoo.reading.datasets_library import fingerprint
from arclight_zoo.reading.splits import Rows, require_taken

Chunks = Iterator[str]
"""A text as consecutive parts, split at any place."""

PIECE = 100_000  # characters to encode at a time
_CHUNK = 1_000_000  # characters to read at a time
_WHOLE = 4_000_000  # longer texts are split before a tokenizer is trained on them
_ROWS = 256  # rows of a table to read at a time


@dataclass(frozen=True)
class Texts:
    """A collection of texts that is read lazily.

    Attributes:
        count: number of texts; 2 means several.
        key: changes when the texts change.
        read: iterates over the texts.
    """

    count: int
    key: str
    read: Callable[[], Iterator[Chunks]]

    def pieces(self) -> Iterator[tuple[str, bool]]:
        """Yields pieces of the texts to encode, and whether each is the last of its text."""
        for chunks in self.read():
            piece = ""
            for number, following in enumerate(cut(chunks, PIECE)):
                if number:
                    yield piece, False
                piece = following
            yield piece, True

    def sample(self, most: int) -> Iterator[str]:
        """The first `most` characters, as whole texts unless they are huge."""
        for chunks in self.read():
            for part in _whole_or_cut(chunks):
                yield part[:most]
                most -= len(part)
                if most <= 0:
                    return

    def survey(self, cache: Path) -> NDArray[Any]:
        """The number of characters and a digest of each text: fields `size` and `digest`."""

        def look() -> NDArray[Any]:
            rows = []
            for chunks in self.read():
                digest, size = hashlib.blake2b(digest_size=16), 0
                for chunk in chunks:
                    digest.update(chunk.encode())
                    size += len(chunk)
                rows.append((size, digest.digest()))
            return np.array(rows, dtype=[("size", "<i8"), ("digest", "V16")])

        return cached(cache, f"survey 1|{self.key}", look)

    def bytes(self, cache: Path) -> int:
        """The size of all texts in UTF-8."""

        def count() -> NDArray[Any]:
            return np.array(sum(len(c.encode()) for chunks in self.read() for c in chunks))

        return int(cached(cache, f"bytes 1|{self.key}", count))


def of_list(texts: Sequence[str]) -> Texts:
    """Texts in memory, identified by their content."""
    key = hashlib.sha256()
    for text in texts:
        key.update(hashlib.sha256(text.encode()).digest())
    return Texts(len(texts), key.hexdigest(), lambda: (iter([text]) for text in texts))


def of_file(file: Path) -> Texts:
    """A file as one text, identified by path, size and modification time.

    Raises:
        UserError: on reading, if it is not UTF-8.
    """
    stat = file.stat()

    def chunks() -> Chunks:
        with file.open(encoding="utf-8") as text:
            try:
                while chunk := text.read(_CHUNK):
                    yield chunk
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{file} is not text in UTF-8 ({error.reason}): convert it, for example with "
                    "iconv -f latin1 -t utf-8."
                ) from error

    return Texts(
        1, f"file|{file.resolve()}|{stat.st_size}|{stat.st_mtime_ns}", lambda: iter([chunks()])
    )


def of_column(rows: Any, name: str, cache: Path) -> Texts:
    """A column of a `datasets.Dataset` on disk; empty cells are left out."""
    column = rows.select_columns([name]).with_format("arrow")

    def read() -> Iterator[Chunks]:
        for table in column.iter(batch_size=_ROWS):
            for text in table[name].to_pylist():
                if text:
                    yield iter([text])

    found = Texts(2, f"table|{fingerprint(rows)}|{name}", read)
    return Texts(len(found.survey(cache)), found.key, read)


def carve_texts(
    texts: Texts, val_fraction: float, test_fraction: float, seed: int, cache: Path
) -> tuple[Texts, Texts, Texts]:
    """Splits texts into (train, val, test) by fractions of their characters.

    Of a single text, the test part is the end, and the validation part comes before it. Of several,
    whole texts are drawn, and equal ones stay together.

    Raises:
        UserError: a fraction takes nothing.
    """
    if not val_fraction and not test_fraction:
        return texts, of_list([]), of_list([])
    survey = texts.survey(cache)
    how = f"{texts.key}|{val_fraction}|{test_fraction}"
    fractions = {"val": val_fraction, "test": test_fraction}
    if texts.count == 1:
        size = int(survey["size"][0])
        end = size - round(test_fraction * size)
        middle = end - round(val_fraction * size)
        for (stage, share), taken in zip(
            fractions.items(), (end - middle, size - end), strict=True
        ):
            if share:
                require_taken(stage, share, taken, f"{size} characters", "it is too short")

        def within(start: int, stop: int) -> Texts:
            if start == stop:
                return of_list([])
            key = f"{how}|{start}|{stop}"
            return Texts(1, key, lambda: iter([_between(next(texts.read()), start, stop)]))

        return within(0, middle), within(middle, end), within(end, size)
    stages = draw(survey["size"], survey["digest"], val_fraction, test_fraction, seed)
    for number, (stage, share) in enumerate(fractions.items(), 1):
        if share:
            why = "texts are taken whole, by their length, and equal ones stay together"
            taken = int((stages == number).sum())
            require_taken(stage, share, taken, f"{len(stages)} texts", why)

    def chosen(stage: int) -> Texts:
        def read() -> Iterator[Chunks]:
            for which, chunks in zip(stages, texts.read(), strict=True):
                if which == stage:
                    yield chunks

        return Texts(int((stages == stage).sum()), f"{how}|{seed}|{stage}", read)

    return chosen(0), chosen(1), chosen(2)


def draw(
    sizes: Rows, digests: NDArray[Any], val_fraction: float, test_fraction: float, seed: int
) -> NDArray[np.int8]:
    """Draws 0 (train), 1 (val) or 2 (test) for each text; the same for equal texts."""
    _, first, which = np.unique(digests, return_index=True, return_inverse=True)
    by_appearance = np.argsort(first)
    distinct = sizes[first[by_appearance]]
    rng = np.random.Generator(np.random.Philox(key=mix("texts", seed)))
    order = rng.permutation(len(distinct))
    upto = np.cumsum(distinct[order]) / distinct.sum()
    stage = np.zeros(len(distinct), dtype=np.int8)
    stage[order] = (upto <= test_fraction + val_fraction).astype(np.int8)
    stage[order[upto <= test_fraction]] = 2
    by_digest = np.empty_like(stage)
    by_digest[by_appearance] = stage
    return by_digest[which]


def cut(chunks: Chunks, size: int) -> Iterator[str]:
    """Pieces of about `size` characters, split at line ends if possible."""
    text, start = "", 0
    for chunk in chunks:
        text, start = text[start:] + chunk, 0
        while len(text) - start > size:
            end = text.rfind("\n", start, start + size) + 1 or start + size
            yield text[start:end]
            start = end
    if start < len(text):
        yield text[start:]


def _whole_or_cut(chunks: Chunks) -> Iterator[str]:
    beginning, length = [], 0
    for chunk in chunks:
        beginning.append(chunk)
        length += len(chunk)
        if length > _WHOLE:
            yield from cut(iter(beginning), PIECE)
            yield from cut(chunks, PIECE)
            return
    yield "".join(beginning)


def _between(chunks: Chunks, start: int, stop: int) -> Chunks:
    """Characters `start ... stop - 1` of a text."""
    for chunk in chunks:
        part = chunk[max(0, start) : max(0, stop)]
        if part:
            yield part
        start, stop = start - len(chunk), stop - len(chunk)
        if stop <= 0:
            return
