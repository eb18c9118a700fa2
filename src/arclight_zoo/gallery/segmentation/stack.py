"""Decode pairs once; the mask is a further channel of its image, so both move together."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from arclight.errors import UserError
from arclight_zoo.gallery.segmentation.pairs import Pairs
from arclight_zoo.pixels.decode import require_bands, to_channels
from arclight_zoo.pixels.depth import Decoded, Span, channels_of, is_deep, shades, size_of
from arclight_zoo.reading.cache import cached
from arclight_zoo.reading.threads import in_threads

IGNORED = 255  # in a mask: unlabelled, as in Pascal VOC
_INSPECTED = 16  # images of each split


def find_shape(
    splits: Iterable[Pairs], size: int | None, channels: int | None
) -> tuple[int, int, bool]:
    """Channels and size of all images, given or found, and whether some have more than 8 bits.

    Raises:
        UserError: no size is given, and the images differ or are not square.
    """
    images = [
        split.image(int(i))
        for split in splits
        for i in np.unique(np.linspace(0, split.count - 1, _INSPECTED).astype(int))
    ]
    channels = channels or max(map(channels_of, images))
    found = sorted({size_of(image) for image in images})
    if size is None and (len(found) > 1 or found[0][0] != found[0][1]):
        named = " and ".join(
            f"{width}x{height}" for width, height in (found[0], found[-1])[: len(found)]
        )
        raise UserError(
            f"The images are {named} pixels: type data.image_size=128, for example, to make each "
            "of them a square of that size."
        )
    return channels, size or found[0][0], any(map(is_deep, images))


def stacked(
    pairs: Pairs, channels: int, size: int, cache: Path, span: Span | None = None
) -> NDArray[np.uint8]:
    """Images and masks, `(n, channels + 1, size, size)`; the last channel is the class + 1.

    So 0 is unlabelled: `IGNORED` pixels, and the fill of shifts. The whole image is scaled to the
    square with bilinear interpolation, its mask with the nearest pixel. `span` gives the values
    for black and white, for images with more than 8 bits.

    Raises:
        UserError: a file cannot be read, or a mask does not hold classes or differs in size from
            its image.
    """

    def make() -> NDArray[np.uint8]:
        made = np.empty((pairs.count, channels + 1, size, size), dtype=np.uint8)

        def decode(i: int) -> None:
            image, mask = pairs.image(i), pairs.mask(i)
            if size_of(image) != size_of(mask):
                one, other = (f"{w}x{h}" for w, h in (size_of(image), size_of(mask)))
                raise UserError(
                    f"{pairs.where(i)} is {one} pixels and its mask {other}: fix one of them."
                )
            made[i, :channels] = image_pixels(image, channels, size, span)
            made[i, channels] = _classes(mask, size, pairs.where(i)) + np.uint8(1)  # 255 becomes 0

        for _ in in_threads(decode, range(pairs.count), min(8, os.cpu_count() or 1)):
            pass
        return made

    return cached(cache, f"pairs 2|{pairs.fingerprint}|{channels}|{size}|{span}", make)


def image_pixels(image: Decoded, channels: int, size: int, span: Span | None) -> NDArray[np.uint8]:
    """The whole image as uint8 `(channels, size, size)`."""
    image = shades(image, span)
    if not isinstance(image, Image.Image):
        require_bands(channels_of(image), channels)
        bands = [Image.fromarray(image[..., i]) for i in range(channels)]
        return np.concatenate([image_pixels(band, 1, size, span) for band in bands])
    image = to_channels(image, channels)
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.array(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _classes(mask: Decoded, size: int, where: str) -> NDArray[np.uint8]:
    """The class of each pixel `(size, size)`."""
    if not isinstance(mask, Image.Image):
        mask = Image.fromarray(mask[..., 0])
    if mask.size != (size, size):
        mask = mask.resize((size, size), Image.Resampling.NEAREST)
    pixels = np.array(mask)
    if pixels.ndim == 3 and (pixels[..., :1] == pixels[..., :3]).all():
        pixels = pixels[..., 0]  # grey, stored as RGB
    if pixels.ndim != 2 or pixels.max() > IGNORED:
        raise UserError(
            f"The mask of {where} has colours or numbers above {IGNORED}: store the number of its "
            f"class in each pixel (grey or palette; {IGNORED} is unlabelled)."
        )
    return pixels.astype(np.uint8)


def black_and_white(stacks: Iterable[NDArray[np.uint8]]) -> bool:
    """Whether masks only have 0 and 255, which are then two classes."""
    values: set[int] = set()
    for stack in stacks:
        values |= set(np.unique(stack[:, -1]).tolist())
    return values == {0, 1}
