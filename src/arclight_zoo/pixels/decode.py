"""From an image file to a model's input: one code for training, evaluation and prediction."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from arclight.errors import UserError
from arclight_zoo.pixels.image_facts import ImageFacts

Encoded = bytes | Path
Take = Callable[[Image.Image, bytes], Any]
"""What is wanted of an opened image, which decodes when it is loaded, and of its file."""
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError)
_ORIENTATION = 0x0112  # the Exif tag by which cameras note how they were held
_GREY_MODES = {"1", "L", "LA", "I", "I;16", "I;16B", "I;16L"}


OR_SKIP = ", or type data.on_error=skip to leave out what cannot be read"
"""What else can be done about an image of a data set."""


def orientation(image: Image.Image) -> int:
    """How the camera was held, by Exif: 1 is upright."""
    return int(image.getexif().get(_ORIENTATION, 1))


def upright(image: Image.Image, stored: bytes = b"") -> Image.Image:
    """The whole image, decoded, as it was seen."""
    image.load()
    return image if orientation(image) == 1 else ImageOps.exif_transpose(image)


def read_image(encoded: Encoded, where: str, otherwise: str = "", take: Take = upright) -> Any:
    """The decoded image, upright, or what `take` makes of it.

    Args:
        encoded: the bytes of an image file, or its path.
        where: what an error calls it.
        otherwise: what else can be done about it, such as `OR_SKIP`.
        take: see `Take`; it may decode less than all of the image.

    Raises:
        UserError: it cannot be read as an image.
    """
    try:
        stored = encoded if isinstance(encoded, bytes) else encoded.read_bytes()
        with Image.open(io.BytesIO(stored)) as image:
            return take(image, stored)
    # Pillow's readers let all of these escape from a damaged file.
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        raise UserError(
            f"{where} cannot be read as an image: replace or remove it{otherwise}."
        ) from error


def channels_of(image: Image.Image) -> int:
    """1 for a grey image, 3 for any other."""
    return 1 if image.mode in _GREY_MODES else 3


@dataclass(frozen=True)
class Shape:
    """What every image becomes: `channels` (1 or 3) by `size` by `size` pixels.

    With `resize`, the shorter side is scaled to `size / crop` (bilinear, antialiased) and the
    centre is kept; without it, an image of another size is a fault. A `crop` of 0.875 is usual for
    ImageNet: a shorter side of 256 pixels, and 224 of them. Sizes and places are rounded as by
    torchvision's `resize` and `center_crop`, so shades differ from theirs by rounding alone.
    """

    channels: int
    size: int
    resize: bool = True
    crop: float = 1.0

    @property
    def sides(self) -> tuple[int, int]:
        return self.size, self.size

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """The image as uint8 `(channels, size, size)`.

        Raises:
            UserError: it has another size, and may not be resized.
        """
        if image.size != self.sides and not self.resize:
            raise UserError(different_sizes(self.sides, image.size))
        if image.size != self.sides or self.crop < 1:
            image = to_channels(image, self.channels)
            box = self._centre(*image.size)
            image = image.resize(self.sides, Image.Resampling.BILINEAR, box=box)
        pixels = np.array(to_channels(image, self.channels))
        return pixels[None] if self.channels == 1 else pixels.transpose(2, 0, 1)

    def _centre(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of what is kept, in pixels of an image of this size."""
        short = int(self.size / self.crop)
        scaled = [int(short * side / min(width, height)) for side in (width, height)]
        first = [round((side - self.size) / 2) for side in scaled]
        x, y = width / scaled[0], height / scaled[1]
        left, top = first[0] * x, first[1] * y
        return left, top, left + self.size * x, top + self.size * y


def different_sizes(one: tuple[int, int], other: tuple[int, int]) -> str:
    """The sentence about two sizes (width, height)."""
    return (
        f"The images have different sizes ({one[0]}x{one[1]} and {other[0]}x{other[1]} pixels): "
        f"type data.image_size={min(one)} to resize them all."
    )


def to_channels(image: Image.Image, channels: int) -> Image.Image:
    """The image with 8 bits in 1 (grey) or 3 (RGB) channels; transparency is dropped."""
    if image.mode.startswith("I"):  # 16 bits; Pillow's own conversion would clip at 255
        image = Image.fromarray((np.asarray(image).astype(np.int64) // 257).astype(np.uint8))
    elif image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
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
    """A new image file as a model input `(1, channels, size, size)`, prepared as in evaluation.

    Raises:
        UserError: it cannot be read as an image.
    """
    where = str(encoded) if isinstance(encoded, Path) else "The image"
    shape = Shape(facts.channels, facts.image_size, crop=facts.eval_crop)
    pixels = shape.pixels(read_image(encoded, where))
    return Normalise(facts.mean, facts.std)(torch.from_numpy(pixels)[None])
