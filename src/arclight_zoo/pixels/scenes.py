"""Synthetic images of several handwritten digits on a textured background, with masks.

The digits are scikit-learn's; digits of test images are in no training image.
"""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from arclight.seeds import mix
from arclight_zoo.pixels.decode import Take, upright
from arclight_zoo.pixels.digits import open_digits
from arclight_zoo.pixels.source import Source, Split
from arclight_zoo.reading.cache import cached

SIZE = 48  # pixels
MOST = 4  # digits per image
COUNTS = {"train": 1600, "val": 200, "test": 400}
DIGITS = [str(digit) for digit in range(10)]
_SHARES = {"train": (0.0, 0.7), "val": (0.7, 0.8), "test": (0.8, 1.0)}  # parts of the digits
_INK = 96  # pixels of a digit have at least this shade, of 255


@dataclass(frozen=True)
class Scenes:
    """Images of one split.

    Attributes:
        pixels: uint8 `(n, 1, size, size)`.
        masks: uint8 `(n, size, size)`: 0 is the background, `d + 1` the digit d.
        labels: the targets, `(n, ...)`.
    """

    name: str
    pixels: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    labels: NDArray[Any]

    @cached_property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.pixels.tobytes() + self.masks.tobytes()).hexdigest()

    def image(self, index: int, take: Take = upright) -> Any:
        return take(Image.fromarray(self.pixels[index, 0]), b"")

    def content(self, index: int) -> bytes:
        return bytes(self.pixels[index].tobytes())

    def where(self, index: int) -> str:
        return f"Picture {index} of split {self.name} of the scenes"


def open_scenes(cache: Path, targets: Literal["multilabel", "values"]) -> Source:
    """Opens the images with the digits that they show, or with the number of distinct digits."""
    splits: dict[str, Split] = {}
    for name in COUNTS:
        one = scenes(name, cache)
        splits[name] = one if targets == "multilabel" else replace(one, labels=_counts(one.labels))
    return Source("sklearn:scenes", DIGITS if targets == "multilabel" else ["digits"], splits)


def _counts(labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    counts: NDArray[np.float32] = labels.sum(1, keepdims=True).astype(np.float32)
    return counts


def scenes(name: str, cache: Path) -> Scenes:
    """The images of "train", "val" or "test", labelled with the digits that they show.

    Labels are uint8 `(n, 10)`, with ones for the digits in the image.
    """
    made = cached(cache, f"scenes 1|{name}|{COUNTS[name]}", lambda: _make(name))
    pixels, masks = made[:, :1].copy(), made[:, 1].copy()
    there = [(masks == digit + 1).any((1, 2)) for digit in range(len(DIGITS))]
    return Scenes(name, pixels, masks, np.stack(there, 1).astype(np.uint8))


def _make(name: str) -> NDArray[np.uint8]:
    """Images and their masks, `(n, 2, size, size)`."""
    digits = open_digits().splits["train"]
    assert digits.pixels is not None
    draw = np.random.Generator(np.random.Philox(key=mix("scenes", list(COUNTS).index(name))))
    shuffle = np.random.Generator(np.random.Philox(key=mix("digits of scenes")))
    order = shuffle.permutation(len(digits.labels))
    low, high = (int(share * len(order)) for share in _SHARES[name])
    made = np.empty((COUNTS[name], 2, SIZE, SIZE), dtype=np.uint8)
    for i in range(len(made)):
        chosen = draw.choice(order[low:high], draw.integers(1, MOST + 1), replace=False)
        shapes = [digits.pixels[one, 0] for one in chosen]
        made[i] = _scene(draw, shapes, digits.labels[chosen])
    return made


def _scene(
    draw: np.random.Generator, shapes: list[NDArray[np.uint8]], labels: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """An image and its mask, `(2, size, size)`.

    Digits without a free place are left out; the first one always has a place.
    """
    ground = _ground(draw)
    mask = np.zeros((SIZE, SIZE), dtype=np.uint8)
    taken = np.zeros((SIZE, SIZE), dtype=bool)
    for shape, label in zip(shapes, labels, strict=True):
        size = int(draw.integers(14, 22))
        large = Image.fromarray(shape).resize((size, size), Image.Resampling.BICUBIC)
        ink = np.asarray(large)
        shade = ground.mean() + draw.choice((-1, 1)) * draw.uniform(70, 110)
        for top, left in draw.integers(0, SIZE - size + 1, (12, 2)):
            place = slice(top, top + size), slice(left, left + size)
            if taken[place].any():
                continue
            taken[place] = True
            alpha = ink / 255
            ground[place] = ground[place] * (1 - alpha) + shade * alpha
            mask[place][ink >= _INK] = label + 1
            break
    noisy = ground + draw.normal(0, 8, ground.shape)
    return np.stack([noisy.clip(0, 255).astype(np.uint8), mask])


def _ground(draw: np.random.Generator) -> NDArray[np.float64]:
    """A background of clouds and stripes around a middle grey, `(size, size)`."""
    coarse = draw.uniform(0, 255, (5, 5)).astype(np.uint8)
    clouds = np.asarray(Image.fromarray(coarse).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    angle, period = draw.uniform(0, np.pi), draw.uniform(4, 12)
    y, x = np.mgrid[:SIZE, :SIZE]
    stripes = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
    level = draw.uniform(100, 155)
    ground: NDArray[np.float64] = level + 0.2 * (clouds - 128.0) + 14 * stripes
    return ground
