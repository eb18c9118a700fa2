"""Read images that are stored as arrays: `.npy` files, and the pages of TIFF files."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

MAGIC = b"\x93NUMPY"


def is_stack(image: Image.Image) -> bool:
    """Whether a TIFF file holds several grey pages of the same size, the bands of one image."""
    pages = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
    if pages == 1:
        return False
    first = image.size, image.mode
    image.seek(1)
    same = (image.size, image.mode) == first and len(image.getbands()) == 1
    image.seek(0)
    return same


def read_stack(image: Image.Image) -> NDArray[Any]:
    """The pages of a TIFF file, `(height, width, pages)`.

    Raises:
        ValueError: the pages differ in size.
    """
    return np.stack([np.asarray(page) for page in ImageSequence.Iterator(image)], axis=-1)


def read_array(stored: bytes) -> NDArray[Any]:
    """The content of a `.npy` file as `(height, width, bands)`.

    Raises:
        ValueError: it is damaged, or not an image.
    """
    return with_bands(np.load(io.BytesIO(stored), allow_pickle=False))


def with_bands(array: NDArray[Any]) -> NDArray[Any]:
    """An array as `(height, width, bands)`; the shorter of first and last axis is the bands.

    Raises:
        ValueError: it does not have two or three axes of real numbers.
    """
    if array.ndim not in (2, 3) or array.dtype.kind not in "buif" or 0 in array.shape:
        raise ValueError(f"an array of shape {array.shape} and type {array.dtype} is not an image")
    if array.ndim == 2:
        array = array[..., None]
    elif array.shape[0] < array.shape[2]:
        array = np.moveaxis(array, 0, -1)
    return array * np.uint8(255) if array.dtype == bool else np.ascontiguousarray(array)
