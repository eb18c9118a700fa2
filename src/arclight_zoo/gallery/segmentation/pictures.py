"""Draw masks: colours of classes, and overlays."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from arclight.canvas import figure, save

ROWS = 6  # images to draw


def palette() -> NDArray[np.uint8]:
    """The colours of 256 classes in Pascal VOC, `(256, 3)`; 0 is black."""
    colours = np.zeros((256, 3), dtype=np.uint8)
    for number in range(256):
        rest = number
        for bit in range(7, -1, -1):
            for channel in range(3):
                colours[number, channel] |= (rest >> channel & 1) << bit
            rest >>= 3
    return colours


def mask_image(classes: NDArray[np.uint8]) -> Image.Image:
    """Converts classes `(height, width)` to a palette image with classes as pixels."""
    image = Image.fromarray(classes)
    image.putpalette(palette().tobytes())
    return image


def overlay(image: NDArray[np.uint8], classes: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Draws classes over an image `(height, width, 3)`; class 0 is transparent."""
    colours = palette()[np.maximum(classes, 0)]
    there = (classes > 0)[..., None]
    return np.where(there, 0.35 * image + 0.65 * colours, image).astype(np.uint8)


def draw_overlays(
    images: NDArray[np.uint8],
    masks: NDArray[np.integer],
    found: NDArray[np.integer],
    class_names: Sequence[str],
    target: Path,
) -> Path:
    """Draws a row for each image: alone, with its mask, and with the predicted mask.

    Args:
        images: `(n, height, width, 3)`.
        masks: `(n, height, width)`.
        found: predicted masks, `(n, height, width)`.
        class_names: for the legend, which lists the classes that occur.
        target: the file to write.
    """
    from matplotlib.patches import Patch

    rows = len(images)
    drawn, axes = figure(3, 2.2, rows)
    for i in range(rows):
        shown = (images[i], overlay(images[i], masks[i]), overlay(images[i], found[i]))
        for j, (picture, title) in enumerate(zip(shown, ("image", "mask", "found"), strict=True)):
            axis = axes[3 * i + j]
            axis.imshow(picture, interpolation="nearest")
            axis.set_axis_off()
            if i == 0:
                axis.set_title(title)
    colours = palette() / 255
    there = sorted(int(c) for c in np.unique([masks, found]) if c > 0)
    patches = [Patch(color=colours[c], label=class_names[c]) for c in there]
    if patches:
        drawn.legend(handles=patches, loc="outside lower center", ncols=min(len(patches), 6))
    return save(drawn, target)
