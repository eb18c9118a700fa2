"""Turn image files into model inputs; shared by training, evaluation and prediction."""

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from arclight.errors import UserError
from arclight_zoo.pixels.arrays import MAGIC, is_stack, read_array, read_stack, read_wide
from arclight_zoo.pixels.depth import Decoded, Span, channels_of, shades, size_of
from arclight_zoo.pixels.image_facts import ImageFacts
from arclight_zoo.pixels.instead import instead

Encoded = bytes | Path
Take = Callable[[Decoded, bytes], Any]
"""Takes an opened, lazily decoded image and its file's bytes, and returns what is needed."""
_DAMAGED = (
    *(OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, MemoryError),
    RuntimeError,  # torchvision's
)
_ORIENTATION = 0x0112  # the Exif tag for the camera's orientation


FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF", "JPEG2000")
"""The formats to read. Pillow supports more, but some, such as EPS, start other programs."""

IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".npy"),
    *(".jfif", ".jpe", ".apng", ".pgm", ".ppm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k"),
)
"""The suffixes of these formats, and of arrays."""

LARGEST = 256 * 2**20  # bytes of an image file
warnings.simplefilter("error", Image.DecompressionBombWarning)  # Pillow only warns

OR_SKIP = ", or type data.on_error=skip to leave out unreadable images"
"""An alternative for messages about an image of a data set."""


def is_plain(image: Decoded) -> bool:
    """Whether the file stores one upright image with 8 bits."""
    if not isinstance(image, Image.Image) or image.mode.startswith(("I", "F")) or is_stack(image):
        return False
    return int(image.getexif().get(_ORIENTATION, 1)) == 1


def upright(image: Decoded, stored: bytes = b"") -> Decoded:
    """Decodes the whole image and rotates it upright.

    Raises:
        ValueError: some pixels are not finite.
    """
    if isinstance(image, Image.Image):
        if is_stack(image):
            image = read_stack(image)
        else:
            plain = is_plain(image)  # before decoding, since it may look at other pages
            image.load()
            return image if plain else _finite(ImageOps.exif_transpose(image))
    return _finite(image)


def _finite(image: Decoded) -> Decoded:
    mode = image.mode if isinstance(image, Image.Image) else image.dtype.kind
    if mode in ("F", "f") and not np.isfinite(np.asarray(image)).all():
        raise ValueError("some of its pixels are not numbers (NaN or infinity)")
    return image


def read_image(encoded: Encoded, where: str, otherwise: str = "", take: Take = upright) -> Any:
    """Decodes an image.

    Args:
        encoded: the bytes of an image file, or its path.
        where: its name in error messages.
        otherwise: an alternative to add to error messages, such as `OR_SKIP`.
        take: see `Take`; it may decode only a part of the image. The default returns the whole
            image, upright.

    Raises:
        UserError: it cannot be read as an image.
    """
    try:
        stored = encoded if isinstance(encoded, bytes) else _content(encoded)
        if stored.startswith(MAGIC):
            return take(read_array(stored), stored)
        with Image.open(io.BytesIO(stored), formats=_formats()) as image:
            if (wide := read_wide(image, stored)) is not None:
                return take(wide, stored)
            return take(image, stored)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(
            f"{where} has more than {Image.MAX_IMAGE_PIXELS:,} pixels, which needs too much "
            f"memory: make it smaller{otherwise}."
        ) from error
    except _DAMAGED as error:  # Pillow's errors on damaged files
        why = _why(encoded, error)
        raise UserError(
            f"{where} cannot be read as an image{f' ({why})' if why else ''}: replace or remove it"
            f"{otherwise}."
        ) from error


def _why(encoded: Encoded, error: Exception) -> str:
    try:
        return instead(encoded if isinstance(encoded, bytes) else _content(encoded), error)
    except OSError as reason:
        return (reason.strerror or "").lower()
    except ValueError as reason:
        return str(reason)


@cache
def _formats() -> list[str]:
    """The formats that the installed Pillow supports."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _content(file: Path) -> bytes:
    """The content of a regular file that is not too large for an image."""
    with file.open("rb") as opened:
        content = opened.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError("too large")
    return content


@dataclass(frozen=True)
class Shape:
    """The shape of every preprocessed image: `channels` by `size` by `size` pixels.

    With `resize`, the shorter side is scaled to `size / crop` (bilinear, antialiased) and the
    centre is kept; without it, images of other sizes are rejected. A `crop` of 0.875 is usual for
    ImageNet: 224 of 256 pixels of the shorter side. Sizes and positions are rounded as in
    torchvision's `resize` and `center_crop`, so shades differ from theirs only by rounding.

    Pixels with more than 8 bits are reduced to 8; `span` gives the values for black and white.
    """

    channels: int
    size: int
    resize: bool = True
    crop: float = 1.0
    span: Span | None = None

    @property
    def sides(self) -> tuple[int, int]:
        return self.size, self.size

    def pixels(self, image: Decoded) -> NDArray[np.uint8]:
        """The image as uint8 `(channels, size, size)`.

        Raises:
            UserError: it has another size and `resize` is off, or it has other bands.
        """
        if size_of(image) != self.sides and not self.resize:
            raise UserError(different_sizes(self.sides, size_of(image)))
        image = shades(image, self.span)
        if not isinstance(image, Image.Image):
            require_bands(channels_of(image), self.channels)
            bands = [Image.fromarray(image[..., i]) for i in range(self.channels)]
            return np.concatenate([replace(self, channels=1).pixels(band) for band in bands])
        if image.size != self.sides or self.crop < 1:
            image = to_channels(image, self.channels)
            box = self._centre(*image.size)
            image = image.resize(self.sides, Image.Resampling.BILINEAR, box=box)
        pixels = np.array(to_channels(image, self.channels))
        return pixels[None] if self.channels == 1 else pixels.transpose(2, 0, 1)

    def _centre(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the centre crop, in pixels of an image of this size."""
        short = int(self.size / self.crop)
        scaled = [int(short * side / min(width, height)) for side in (width, height)]
        first = [round((side - self.size) / 2) for side in scaled]
        x, y = width / scaled[0], height / scaled[1]
        left, top = first[0] * x, first[1] * y
        return left, top, left + self.size * x, top + self.size * y


def different_sizes(one: tuple[int, int], other: tuple[int, int]) -> str:
    """The error message about two sizes (width, height)."""
    return (
        f"The images have different sizes ({one[0]}x{one[1]} and {other[0]}x{other[1]} pixels): "
        f"type data.image_size={min(one)} to resize them all."
    )


def require_bands(found: int, channels: int) -> None:
    """Raises `UserError` if an image cannot be converted to this number of channels.

    Only conversions between grey and colour are possible.
    """
    if found != channels and not {found, channels} <= {1, 3}:
        raise UserError(
            f"An image of {found} {'channels' if found > 1 else 'channel'} cannot become one of "
            f"{channels}: type data.channels={found}, or store all images with the same channels."
        )


def to_channels(image: Image.Image, channels: int) -> Image.Image:
    """Converts an 8-bit image to 1 (grey) or 3 (RGB) channels; transparency is dropped.

    Raises:
        UserError: another number of channels is requested.
    """
    require_bands(channels_of(image), channels)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    elif image.mode == "LAB":  # which Pillow only converts to RGB
        image = image.convert("RGB")
    mode = "L" if channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)


class Normalise:
    """uint8 `(batch, channels, height, width)` to float32 `(x / 255 - mean) / std`."""

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], device: torch.device | str = "cpu"
    ) -> None:
        center = torch.tensor(mean, dtype=torch.float64).view(1, -1, 1, 1)
        spread = torch.tensor(std, dtype=torch.float64).view(1, -1, 1, 1)
        self.scale = (1 / (255 * spread)).float().to(device)
        self.shift = (-center / spread).float().to(device)

    def __call__(self, images: Tensor) -> Tensor:
        if images.device.type == "cpu":  # without torch's threads: see augment.py
            floats = np.multiply(images.numpy(), self.scale.numpy(), dtype=np.float32)
            floats += self.shift.numpy()
            return torch.from_numpy(floats)
        return images.to(torch.float32).mul_(self.scale).add_(self.shift)


def model_input(encoded: Encoded, facts: ImageFacts) -> Tensor:
    """Preprocesses an image file, as in evaluation, to model input `(1, channels, size, size)`.

    Raises:
        UserError: it cannot be read as an image.
    """
    where = str(encoded) if isinstance(encoded, Path) else "The image"
    shape = Shape(facts.channels, facts.image_size, crop=facts.eval_crop, span=facts.span)
    pixels = shape.pixels(read_image(encoded, where))
    return Normalise(facts.mean, facts.std)(torch.from_numpy(pixels)[None])
