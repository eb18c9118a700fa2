"""`data.on_error=skip`: find unreadable images before training, and leave them out.

Since they are found before and not during training, the order of the data, the splits and resumed
runs depend only on the files, all processes agree, and the count is exact.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arclight.errors import UserError
from arclight_zoo.pixels.decode import Take, upright
from arclight_zoo.pixels.source import Split
from arclight_zoo.reading.cache import cached
from arclight_zoo.reading.splits import Rows
from arclight_zoo.reading.threads import in_threads

NAMED = 5  # most images in a message


@dataclass(frozen=True)
class Subset:
    """A subset of a split, as a split."""

    whole: Split
    rows: Rows
    pixels: None = None

    @property
    def name(self) -> str:
        return self.whole.name

    @property
    def labels(self) -> NDArray[Any]:
        return self.whole.labels[self.rows]

    @property
    def groups(self) -> NDArray[Any] | None:
        groups = getattr(self.whole, "groups", None)
        return None if groups is None else groups[self.rows]

    @property
    def fingerprint(self) -> str:
        left_out = np.setdiff1d(np.arange(len(self.whole.labels)), self.rows)
        return f"{self.whole.fingerprint} without {left_out.tolist()}"

    def image(self, index: int, take: Take = upright) -> Any:
        return self.whole.image(int(self.rows[index]), take)

    def content(self, index: int) -> bytes:
        return self.whole.content(int(self.rows[index]))

    def where(self, index: int) -> str:
        return self.whole.where(int(self.rows[index]))


def readable(
    splits: Mapping[str, Split], cache: Path, most: int
) -> tuple[dict[str, Split], dict[str, int], list[str]]:
    """The splits without unreadable images; each image is checked only once, ever.

    Args:
        splits: to check.
        cache: folder for the result.
        most: unreadable images allowed in all splits together.

    Returns:
        The splits under the same keys, the number of images left out by name of the split, and a
        sentence about each split that lost some.

    Raises:
        UserError: more images are unreadable.
    """
    bad = {key: _unreadable(split, cache) for key, split in splits.items()}
    kept: dict[str, Split] = dict(splits)
    faulty: list[str] = []
    skipped, notes = {}, []
    for key, split in splits.items():
        if not len(bad[key]):
            continue
        names = [split.where(row) for row in bad[key].tolist()]
        faulty += names
        kept[key] = Subset(split, np.setdiff1d(np.arange(len(split.labels)), bad[key]))
        skipped[split.name] = len(names)
        notes.append(
            f"Left out {len(names)} unreadable images of split {split.name} "
            f"(data.on_error=skip): {_few(names)}."
        )
    if len(faulty) > most:
        raise UserError(
            f"{len(faulty)} images cannot be read, more than data.max_errors={most} "
            f"({_few(faulty)}): replace or remove them, or type data.max_errors={len(faulty)}."
        )
    return kept, skipped, notes


def _unreadable(split: Split, cache: Path) -> Rows:
    if split.pixels is not None:
        return np.arange(0)
    n = len(split.labels)

    def look() -> Rows:
        bad = in_threads(lambda row: _is_faulty(split, row), range(n), min(32, os.cpu_count() or 1))
        return np.flatnonzero(np.fromiter(bad, dtype=bool, count=n))

    return np.asarray(cached(cache, f"unreadable 1|{split.fingerprint}|{n}", look))


def _is_faulty(split: Split, row: int) -> bool:
    try:
        split.image(row)
    except UserError:
        return True
    return False


def _few(names: Sequence[str]) -> str:
    """The first few names as text."""
    return ", ".join(names[:NAMED]) + (", ..." if names[NAMED:] else "")
