"""Random resized crops of image files, decoded only as large as needed.

Decoding takes most of a crop's time. simplejpeg gives the same bits as Pillow in half the time,
can scale while it decodes, and releases the GIL.
"""

import math
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from arclight_zoo.pixels.decode import Shape, is_plain, require_bands, to_channels, upright
from arclight_zoo.pixels.depth import Decoded, channels_of, shades, size_of

_SCALES = (8, 4, 2, 1)  # divisors that make libjpeg faster
_GAP = 2  # a scaled window keeps this many times its size, like `reducing_gap` in Pillow
_JPEG = ("JPEG", "MPO")  # MPO: a JPEG followed by more images, from some cameras


@dataclass(frozen=True)
class RandomCrop:
    """A random resized crop (Inception's crop: Szegedy et al., 2015).

    The window has at least the fraction `smallest` of the area and a ratio of 3/4 to 4/3. Unlike
    in torchvision, a window that does not fit is trimmed to the image, not redrawn. Resizing gives
    the same bits as torchvision's v2 on tensors (bilinear, antialiased).

    Args:
        shape: of the result.
        smallest: fraction of the area.
        scaled: decode a JPEG at 1/2, 1/4 or 1/8 of its size if the window keeps twice
            `shape.size` pixels in each direction. Shades then differ slightly: by 1 to 2 of 255 on
            average for detailed photographs.
        u: uniform numbers: area, ratio, x, y.
    """

    shape: Shape
    smallest: float
    scaled: bool
    u: list[float]

    def __call__(self, image: Decoded, stored: bytes) -> NDArray[np.uint8]:
        """The crop of an opened image, uint8 `(channels, size, size)`."""
        if not is_plain(image):
            image, stored = upright(image), b""
        whole = size_of(image)
        w, h = self._window(*whole)
        pixels = self._decode(image, stored, min(w, h))
        height, width = pixels.shape[:2]
        w, h = round(w * width / whole[0]), round(h * height / whole[1])
        left, top = int(self.u[2] * (width - w + 1)), int(self.u[3] * (height - h + 1))
        window = np.ascontiguousarray(pixels[top : top + h, left : left + w])
        batch = torch.from_numpy(window).permute(2, 0, 1)[None]
        resized = F.interpolate(batch, self.shape.sides, mode="bilinear", antialias=True)
        return resized[0].numpy()

    def _window(self, width: int, height: int) -> tuple[int, int]:
        area = width * height * (self.smallest + self.u[0] * (1 - self.smallest))
        ratio = math.exp((self.u[1] * 2 - 1) * math.log(4 / 3))
        w = min(width, max(1, round(math.sqrt(area * ratio))))
        return w, min(height, max(1, round(math.sqrt(area / ratio))))

    def _scale(self, side: int) -> int:
        return next((by for by in _SCALES if side >= by * _GAP * self.shape.size), 1)

    def _decode(self, image: Decoded, stored: bytes, side: int) -> NDArray[np.uint8]:
        """The whole image, uint8 `(height, width, channels)`, scaled as far as `side` allows."""
        image = shades(image, self.shape.span)
        if not isinstance(image, Image.Image):
            require_bands(channels_of(image), self.shape.channels)
            return image
        colours, mode = ("GRAY", "L") if self.shape.channels == 1 else ("RGB", "RGB")
        if stored and image.format in _JPEG and image.mode == mode:
            import simplejpeg

            by = self._scale(side) if self.scaled else 1
            least = {"min_width": -(-image.width // by), "min_height": -(-image.height // by)}
            with suppress(ValueError):  # Pillow decides whether a damaged file is readable
                pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(stored, colours, **least)
                return pixels
        image.load()
        pixels = np.array(to_channels(image, self.shape.channels))
        return pixels.reshape(*pixels.shape[:2], self.shape.channels)
