"""Copies of one image in several splits, or under several labels."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arclight_zoo.pixels.stage import Part
from arclight_zoo.reading.cache import cached
from arclight_zoo.reading.splits import same_content


def copies(parts: Mapping[str, Part], fingerprint: str, cache: Path) -> list[str]:
    """A sentence for each kind of copy, of images held in memory; those in files are not compared.

    Args:
        parts: the images of each stage.
        fingerprint: changes when they do.
        cache: keeps what was found.
    """
    held = {stage: part for stage, part in parts.items() if len(part) and part.pixels is not None}
    if len(held) < sum(bool(len(part)) for part in parts.values()):
        return []

    def count() -> NDArray[np.int64]:
        images = (image.tobytes() for part in held.values() for image in part.images().numpy())
        same = same_content(images)
        stage = np.repeat(np.arange(len(held)), [len(part) for part in held.values()])
        trained = np.isin(same, same[stage == 0])
        in_others = [int(trained[stage == i].sum()) for i in range(1, len(held))]
        labels = np.concatenate([part.split.labels[part.rows] for part in held.values()])
        if labels.ndim > 1:
            return np.array([*in_others, 0])
        pairs = np.unique(np.stack([same, labels]), axis=1)[0]
        return np.array([*in_others, int((np.unique(pairs, return_counts=True)[1] > 1).sum())])

    *others, classes = cached(cache, f"copies 1|{fingerprint}", count).tolist()
    said = [
        f"Copies of training images in {stage}: {n:,}. They make its score too high."
        for stage, n in zip(list(held)[1:], others, strict=True)
        if n
    ]
    if classes:
        said.append(f"Images with copies under another label: {classes:,}.")
    return said
