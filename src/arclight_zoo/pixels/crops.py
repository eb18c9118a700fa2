"""Random resized crops of image files, decoded no larger than they are needed.

Most of a crop's time is the decoder's. simplejpeg gives the same bits as Pillow in half the time,
can scale while it decodes, and lets other threads run.
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

_SCALES = (8, 4, 2, 1)  # by which libjpeg divides with less work than it saves
_GAP = 2  # times the size that a scaled window keeps, as `reducing_gap` of Pillow's thumbnails
_JPEG = ("JPEG", "MPO")  # MPO: a JPEG with more after it, as some cameras store


@dataclass(frozen=True)
class RandomCrop:
    """A window of `smallest` to all of the area and of ratio 3/4 to 4/3, in the size of `shape`.

    Inception's crop (Szegedy et al., 2015). Unlike torchvision's, a window that would not fit is
    trimmed to the image, not drawn anew. It is resized to the same bits as torchvision's v2 does
    with tensors (bilinear, antialiased).

    Args:
        scaled: decode a JPEG at 1/2, 1/4 or 1/8 of its size where the window keeps twice
            `shape.size` pixels each way. Shades then differ by the decoder's filter: on detailed
            photographs by 1 to 2 of 255 on average.
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
        """All of the image, uint8 `(height, width, channels)`, scaled as far as `side` allows."""
        image = shades(image, self.shape.span)
        if not isinstance(image, Image.Image):
            require_bands(channels_of(image), self.shape.channels)
            return image
        colours, mode = ("GRAY", "L") if self.shape.channels == 1 else ("RGB", "RGB")
        if stored and image.format in _JPEG and image.mode == mode:
            import simplejpeg

            by = self._scale(side) if self.scaled else 1
            least = {"min_width": -(-image.width // by), "min_height": -(-image.height // by)}
            with suppress(ValueError):  # what can be read of a damaged file is Pillow's to say
                pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(stored, colours, **least)
                return pixels
        image.load()
        pixels = np.array(to_channels(image, self.shape.channels))
        return pixels.reshape(*pixels.shape[:2], self.shape.channels)
