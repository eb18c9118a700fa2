"""Find copies of an image in several splits, or with several labels."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arclight_zoo.pixels.stage import Part
from arclight_zoo.reading.cache import cached
from arclight_zoo.reading.splits import same_content
from arclight_zoo.reading.threads import in_threads

_READERS = 8
_WORDS = {"train": "training", "val": "validation"}
_MOST = 100_000  # images in files that are read to be compared


def copies(parts: Mapping[str, Part], fingerprint: str, cache: Path, limit_gb: float) -> list[str]:
    """Messages about copies: the same pixels in memory, or the same bytes in files.

    Args:
        parts: the images of each stage.
        fingerprint: of the data; changes when the images change.
        cache: folder for the result.
        limit_gb: images in files are only compared if they would fit into this much memory.
    """
    used = {stage: part for stage, part in parts.items() if len(part)}
    in_files = [part for part in used.values() if part.pixels is None]
    count_of = sum(map(len, in_files))
    size = sum(len(part) * part.shape.channels * part.shape.size**2 for part in in_files)
    if in_files and (count_of > _MOST or size > limit_gb * 1e9):
        return [f"{count_of:,} images in files are not checked for copies: they are too many."]

    def count() -> NDArray[np.int64]:
        same = same_content(image for part in used.values() for image in _contents(part))
        stage = np.repeat(np.arange(len(used)), [len(part) for part in used.values()])
        in_others = [
            int(np.isin(same[stage == i], same[stage < i]).sum()) for i in range(1, len(used))
        ]
        labels = np.concatenate([part.split.labels[part.rows] for part in used.values()])
        if labels.ndim > 1:
            return np.array([*in_others, 0])
        pairs = np.unique(np.stack([same, labels]), axis=1)[0]
        return np.array([*in_others, int((np.unique(pairs, return_counts=True)[1] > 1).sum())])

    *others, classes = cached(cache, f"copies 3|{fingerprint}", count).tolist()
    words = [_WORDS.get(stage, stage) for stage in used]
    messages = [
        f"Copies of {' and '.join(words[:i])} images in {stage}: {n:,}. They make its scores too "
        "high."
        for i, (stage, n) in enumerate(zip(list(used)[1:], others, strict=True), 1)
        if n
    ]
    if classes:
        messages.append(f"Images with copies that have another label: {classes:,}.")
    return messages


def _contents(part: Part) -> Iterator[bytes]:
    if part.pixels is not None:
        yield from (image.tobytes() for image in part.images().numpy())
        return
    for some in np.array_split(part.rows, -(-len(part) // 256)):
        yield from in_threads(part.split.content, some.tolist(), _READERS)
