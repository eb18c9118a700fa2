"""Map pixels with more than 8 bits, and arrays, to 8 bits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from arclight.errors import UserError

Decoded = Image.Image | NDArray[Any]
"""An opened image, or an array `(height, width, bands)`, for example from a satellite."""

Span = tuple[float, float]
"""The values that become black and white."""

_BITS = (8, 10, 12, 14, 16)  # common in cameras, microscopes and scanners
_GREY_MODES = {"1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F"}


def size_of(image: Decoded) -> tuple[int, int]:
    """Width and height."""
    return image.size if isinstance(image, Image.Image) else (image.shape[1], image.shape[0])


def channels_of(image: Decoded) -> int:
    """1 for a grey image, 3 for any other image; for arrays the number of bands."""
    if isinstance(image, Image.Image):
        return 1 if image.mode in _GREY_MODES else 3
    return int(image.shape[2])


def is_deep(image: Decoded) -> bool:
    """Whether its values need more than 8 bits."""
    if isinstance(image, Image.Image):
        return image.mode.startswith(("I", "F"))
    return image.dtype != np.uint8


def span_of(lowest: float, highest: float, whole: bool) -> Span:
    """The range of values that a data set uses.

    For non-negative integers it is that of the fewest sufficient bits (8, 10, 12, 14 or 16); for
    fractions in 0 to 1 it is 0 to 1; otherwise it is from the lowest to the highest value.

    Args:
        lowest: the lowest value of all pixels.
        highest: the highest value of all pixels.
        whole: whether they are stored as integers.
    """
    if whole and lowest >= 0:
        for bits in _BITS:
            if highest < 2**bits:
                return 0.0, float(2**bits - 1)
    if not whole and lowest >= 0 and highest <= 1:
        return 0.0, 1.0
    return lowest, highest


def span_text(span: Span) -> str:
    """The range in words, such as `0 to 4095`."""
    return " to ".join(f"{value:g}" if value % 1 else str(int(value)) for value in span)


def shades(image: Decoded, span: Span | None) -> Image.Image | NDArray[np.uint8]:
    """Converts an image to 8 bits: a Pillow image, or `(height, width, bands)` for 2 or 4+ bands.

    Args:
        image: of any depth.
        span: see `Span`; values outside are clipped. None: works for 8 and 16 bits only.

    Raises:
        UserError: the range of its values is unknown.
    """
    if isinstance(image, Image.Image):
        if not is_deep(image):
            return image
        if span is None and image.mode.startswith("I;16"):
            span = 0.0, 65535.0
        return Image.fromarray(_to_8_bits(np.asarray(image), span))
    if span is None and image.dtype == np.uint16:
        span = 0.0, 65535.0
    pixels = image if image.dtype == np.uint8 else _to_8_bits(image, span)
    if pixels.shape[2] == 1:
        return Image.fromarray(pixels[..., 0])
    return Image.fromarray(pixels) if pixels.shape[2] == 3 else pixels


def _to_8_bits(values: NDArray[Any], span: Span | None) -> NDArray[np.uint8]:
    if span is None:
        raise UserError(
            f"An image holds values of type {values.dtype} ({values.min():g} to "
            f"{values.max():g}), but others have 8 bits: type data.value_range=[LOW,HIGH] with "
            "the values for black and white, or store it with 8 bits."
        )
    low, high = span
    scaled = (values.astype(np.float64) - low) * (255 / ((high - low) or 1))
    shaded: NDArray[np.uint8] = np.rint(scaled.clip(0, 255)).astype(np.uint8)
    return shaded
