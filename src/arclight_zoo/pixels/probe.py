"""Inspect a data set before use: shape, value range, labels, mean and standard deviation."""

import os
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arclight.errors import UserError
from arclight_zoo.pixels.decode import Shape, different_sizes
from arclight_zoo.pixels.depth import Decoded, Span, channels_of, is_deep, size_of, span_of
from arclight_zoo.pixels.fit import by_size
from arclight_zoo.pixels.source import Source, Split
from arclight_zoo.reading.cache import cached
from arclight_zoo.reading.classes import require_several
from arclight_zoo.reading.threads import in_threads

_LOOKED_AT = 32  # images of each split


def find_shape(
    splits: Collection[Split], size: int | None, channels: int | None, fitted: bool = False
) -> tuple[Shape, bool, int]:
    """The shape of all images, whether some have more than 8 bits, and the typical shorter side.

    The shape is as given, or that of the images; with `fitted`, it is chosen by their size.

    Only a few images of each split are read; others that differ are found when they are decoded.
    If one image has colours, all become RGB.

    Raises:
        UserError: no size is given, and the images differ in size or are not square.
    """
    if all(split.pixels is not None for split in splits):  # all have one shape
        images = [split.image(0) for split in splits]
    else:
        images = [split.image(i) for split in splits for i in _spread(len(split.labels))]
    if channels is None:
        channels = max(map(channels_of, images))
    deep = any(map(is_deep, images))
    side = sorted(min(size_of(image)) for image in images)[len(images) // 2]
    if size is None and fitted:
        size = int(by_size(side)["data.image_size"])
    if size is not None:
        return Shape(channels, size), deep, side
    first, *others = sorted({size_of(image) for image in images})
    if others:
        raise UserError(different_sizes(first, others[-1]))
    if first[0] != first[1]:
        raise UserError(
            f"The images are not square ({first[0]}x{first[1]} pixels): "
            f"type data.image_size={min(first)} to resize and crop them."
        )
    return Shape(channels, first[0], resize=False), deep, side


def _spread(count: int) -> list[int]:
    return [int(i) for i in np.unique(np.linspace(0, count - 1, _LOOKED_AT).astype(int))]


def find_span(image: Callable[[int], Decoded], count: int, fingerprint: str, cache: Path) -> Span:
    """The value range of images with more than 8 bits; decodes all of them once.

    Args:
        image: returns the training image of an index.
        count: number of training images.
        fingerprint: of the data; changes when the images change.
        cache: folder for the result.

    Raises:
        UserError: all pixels have one value, or some images hold fractions and others integers.
    """

    def measure() -> NDArray[np.float64]:
        threads = min(8, os.cpu_count() or 1)
        limits = list(in_threads(lambda i: _limits(image(i)), range(count), threads))
        low, high, whole = zip(*limits, strict=True)
        of_deep = np.array(whole)[~np.isnan(low)]
        return np.array([np.nanmin(low), np.nanmax(high), of_deep.min(), of_deep.max()])

    ranges = cached(cache, f"value range 2|{fingerprint}|{count}", measure).tolist()
    low, high, whole, any_whole = ranges
    if any_whole > whole:
        raise UserError(
            f"Some images hold fractions and others integers with more than 8 bits ({low:g} to "
            f"{high:g} in all), so they have no common scale: store all in the same way, or type "
            "data.value_range=[LOW,HIGH] with the values for black and white."
        )
    if low == high:
        raise UserError(f"All pixels of all training images are {low:g}: check data.path.")
    return span_of(low, high, bool(whole))


def _limits(image: Decoded) -> tuple[float, float, float]:
    """The lowest and highest value, and whether they are integers; NaN for 8-bit images."""
    if not is_deep(image):
        return np.nan, np.nan, 1.0
    values = np.asarray(image)
    return float(values.min()), float(values.max()), float(values.dtype.kind in "ui")


def check_labels(source: Source, splits: Collection[Split]) -> None:
    """Raises `UserError` for splits without images, invalid labels, and data with one class."""
    classes = len(source.class_names)
    for split in splits:
        if not len(split.labels):
            raise UserError(f"Split {split.name} of {source.path} has no images: choose another.")
        if split.labels.ndim > 1:  # multilabel, or values
            continue
        require_several(source.path, source.class_names)
        wrong = np.flatnonzero((split.labels < 0) | (split.labels >= classes))
        if len(wrong):
            raise UserError(
                f"Row {wrong[0]} of split {split.name} of {source.path} has label "
                f"{split.labels[wrong[0]]}, but the {classes} classes are 0 to {classes - 1}: "
                "fix it, or choose other splits with data.train_split, data.val_split and "
                "data.test_split (the hub marks withheld labels with -1)."
            )


def mean_and_std(images: Tensor) -> tuple[list[float], list[float]]:
    """Mean and std per channel of uint8 `(n, channels, height, width)`, on the scale 0 to 1.

    Sums are integers, so the result is the same on every machine. A constant channel has std 1.
    """
    total = torch.zeros(images.shape[1], dtype=torch.int64)
    squares = torch.zeros_like(total)
    for chunk in torch.split(images, 1024):
        values = chunk.to(torch.int32)
        total += values.sum((0, 2, 3))
        squares += (values * values).sum((0, 2, 3))
    count = images.numel() / images.shape[1]
    mean = total.double() / count
    std = (squares.double() / count - mean**2).clamp(min=0).sqrt()
    std[std == 0] = 255
    return (mean / 255).tolist(), (std / 255).tolist()


def count_one_colour(images: Tensor) -> int:
    """The number of images in uint8 `(n, channels, height, width)` with a single colour."""
    flat = images.flatten(2)
    return sum(
        int((chunk == chunk[..., :1]).all(2).all(1).sum()) for chunk in torch.split(flat, 1024)
    )
