"""Images on matplotlib's axes."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from arclight_zoo.pixels.image_facts import ImageFacts

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_image(axis: "Axes", image: Tensor, facts: ImageFacts) -> None:
    """A normalised image `(channels, height, width)`, as it was before."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (facts.mean, facts.std))
    pixels = (image * std + mean).clamp(0, 1).permute(1, 2, 0).squeeze(2)
    axis.imshow(pixels.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
