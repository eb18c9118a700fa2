"""Read images from a `.npz` file with the array names of Keras or MedMNIST."""

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arclight.errors import UserError
from arclight_zoo.pixels.arrays import with_bands
from arclight_zoo.pixels.decode import Take, upright
from arclight_zoo.pixels.source import Source, Split
from arclight_zoo.pixels.targets import Targets, converted
from arclight_zoo.reading.classes import numbered, require_shared

_PAIRS = (("{}_images", "{}_labels"), ("x_{}", "y_{}"), ("X_{}", "y_{}"))
_WHOLE = (("images", "labels"), ("x", "y"), ("X", "y"), ("data", "target"))
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class ArraySplit:
    """An array of images, and their labels."""

    name: str
    path: str
    images: NDArray[Any]
    labels: NDArray[Any]
    fingerprint: str
    pixels: None = None

    def image(self, index: int, take: Take = upright) -> Any:
        try:
            return take(with_bands(self.images[index]), b"")
        except ValueError as error:
            raise UserError(f"{self.where(index)} is not an image: {error}.") from error

    def content(self, index: int) -> bytes:
        return bytes(self.images[index].tobytes())

    def where(self, index: int) -> str:
        return f"Image {index} of split {self.name} of {self.path}"


def open_npz(path: Path, targets: Targets) -> Source:
    """Opens the arrays `train_images` and `train_labels`, or `x_train` and `y_train`.

    `val` and `test` are named in the same way. Without splits the names are `images` and `labels`,
    or `x` and `y`. Images are `(n, height, width)` or `(n, height, width, bands)`, labels `(n,)`;
    for multilabel `(n, classes)` of 0 and 1, and for values `(n, values)`.

    Raises:
        UserError: it cannot be read, or has no such arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = _pairs(path, {name: file[name] for name in file.files})
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read as arrays: replace it ({error}).") from error
    labels = {name: _labels(path, name, *pair) for name, pair in found.items()}
    several = {name: own for name, own in labels.items() if own.ndim > 1}
    if targets != "classes" and several:
        kind = np.float32 if targets == "values" else np.uint8
        names = [str(i) for i in range(next(iter(several.values())).shape[1])]
        return Source(str(path), names, _splits(path, found, labels, kind))
    if several:
        raise UserError(
            f"{path} has several labels per image: type task=image_multilabel or "
            "task=image_regression."
        )
    names, rows = numbered({name: own.tolist() for name, own in labels.items()})
    if targets == "classes":
        require_shared(str(path), "labels", names, sum(map(len, rows.values())))
    numbers = {name: np.asarray(own) for name, own in rows.items()}
    return converted(Source(str(path), names, _splits(path, found, numbers, np.int64)), targets)


def _pairs(
    path: Path, arrays: dict[str, NDArray[Any]]
) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    found = {
        split: (arrays[images.format(split)], arrays[labels.format(split)])
        for images, labels in _PAIRS
        for split in _SPLITS
        if {images.format(split), labels.format(split)} <= arrays.keys()
    }
    whole = [(arrays[x], arrays[y]) for x, y in _WHOLE if {x, y} <= arrays.keys()]
    if not found and whole:
        return {"train": whole[0]}
    if not found:
        raise UserError(
            f"{path} holds the arrays {', '.join(arrays) or 'none'}: name them train_images and "
            "train_labels (also for val and test), or x_train and y_train, or images and labels."
        )
    return found


def _labels(path: Path, split: str, images: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if images.ndim not in (3, 4) or len(images) != len(labels) or labels.ndim > 2:
        raise UserError(
            f"Split {split} of {path} has images of shape {images.shape} and labels of shape "
            f"{labels.shape}: they should be (n, height, width) or (n, height, width, bands), and "
            "(n,)."
        )
    return labels


def _splits(
    path: Path, found: dict[str, tuple[NDArray[Any], NDArray[Any]]], labels: Any, kind: Any
) -> dict[str, Split]:
    splits: dict[str, Split] = {}
    for name, (images, _) in found.items():
        digest = hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()
        own = labels[name].astype(kind)
        splits[name] = ArraySplit(name, str(path), images, own, digest)
    return splits
