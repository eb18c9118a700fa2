"""Draw images on matplotlib axes."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from arclight_zoo.pixels.image_facts import ImageFacts

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_image(axis: "Axes", image: Tensor, facts: ImageFacts) -> None:
    """Draws a normalised image `(channels, height, width)` in its original shades.

    Of more than three channels the first three are drawn; of two channels, the first.
    """
    mean, std = (torch.tensor(values)[:, None, None] for values in (facts.mean, facts.std))
    pixels = (image * std + mean).clamp(0, 1)
    shown = pixels[:3] if len(pixels) >= 3 else pixels[:1]
    axis.imshow(
        shown.permute(1, 2, 0).squeeze(2).numpy(),
        cmap="gray",
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )
