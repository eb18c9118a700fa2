"""Read images that are stored as arrays: `.npy` files, and the pages of TIFF files."""

import io
import threading
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

_one_at_a_time = threading.Lock()  # the filter of warnings belongs to the process
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


def read_wide(image: Image.Image, stored: bytes) -> NDArray[Any] | None:
    """An image with 16 bits for each colour, `(height, width, bands)`; None for any other image.

    Pillow opens them with 8 bits, which would leave few shades of values that use 12 bits.
    Transparency is dropped.

    Raises:
        ValueError: its format is not PNG.
    """
    tiles = getattr(image, "tile", None)
    if image.mode not in ("RGB", "RGBA", "LA") or not tiles:
        return None
    arguments = tiles[0][3]
    raw = arguments[0] if isinstance(arguments, tuple) else arguments
    if not isinstance(raw, str) or ";16" not in raw:
        return None
    if image.format != "PNG":
        raise ValueError(
            "its pixels have 16 bits for each colour, which are read only from PNG and .npy files"
        )
    import torch
    from torchvision.io import ImageReadMode, decode_png

    content = torch.frombuffer(bytearray(stored), dtype=torch.uint8)
    with _one_at_a_time, warnings.catch_warnings(action="ignore"):  # torchvision will drop it
        bands = decode_png(content, ImageReadMode.UNCHANGED).numpy()
    return np.ascontiguousarray(np.moveaxis(bands, 0, -1)[..., : 1 if len(bands) < 3 else 3])


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
