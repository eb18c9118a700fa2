"""Random views of whole batches of images."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from arclight.ranges import NonNegative, Share


@dataclass
class Views:
    """Random augmentation of images; 0 switches a field off.

    Args:
        shift: maximum shift, as a fraction of the image size.
        scale: maximum relative change of size.
        rotate: maximum angle in degrees.
        shear: maximum tangent of the shear angle.
        contrast: values are multiplied by a factor in 1 - contrast to 1 + contrast.
        noise: standard deviation of the noise on each pixel of a normalised image.
    """

    shift: Share = 0.15
    scale: Share = 0.2
    rotate: NonNegative = 20.0
    shear: NonNegative = 0.2
    contrast: Share = 0.3
    noise: NonNegative = 0.1

    def __call__(self, images: Tensor) -> Tensor:
        """A random view of each image; pixels from outside the image repeat its border.

        Args:
            images: normalised `(batch, channels, height, width)`.
        """

        def draw(reach: float) -> Tensor:
            return (torch.rand(len(images), device=images.device) * 2 - 1) * reach

        angle, slant = draw(math.radians(self.rotate)), draw(self.shear)
        across, along = 1 + draw(self.scale), 1 + draw(self.scale)
        cos, sin = angle.cos(), angle.sin()
        # Coordinates go from -1 to 1 across an image.
        rows = [cos * across, (slant - sin) * along, draw(2 * self.shift)]
        rows += [sin * across, cos * along, draw(2 * self.shift)]
        grid = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(images.shape), False)
        seen = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
        seen = seen * (1 + draw(self.contrast))[:, None, None, None]
        return seen + self.noise * torch.randn_like(seen)
