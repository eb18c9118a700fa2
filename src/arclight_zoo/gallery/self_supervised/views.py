"""Random views of images, whole batches at once."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from arclight.ranges import NonNegative, Share


@dataclass
class Views:
    """How two views of one image may differ; 0 leaves that out.

    Args:
        shift: up to this share of the image, along each side.
        scale: larger or smaller by up to this share.
        rotate: degrees, to either side.
        shear: tangent of the slant, to either side.
        contrast: the values are multiplied by up to 1 plus or minus this.
        noise: standard deviation of what is added to each pixel of a normalised image.
    """

    shift: Share = 0.15
    scale: Share = 0.2
    rotate: NonNegative = 20.0
    shear: NonNegative = 0.2
    contrast: Share = 0.3
    noise: NonNegative = 0.1

    def __call__(self, images: Tensor) -> Tensor:
        """One view of each image; what lies outside of it continues its border.

        Args:
            images: normalised `(batch, channels, height, width)`.
        """

        def draw(reach: float) -> Tensor:
            return (torch.rand(len(images), device=images.device) * 2 - 1) * reach

        angle, slant = draw(math.radians(self.rotate)), draw(self.shear)
        across, along = 1 + draw(self.scale), 1 + draw(self.scale)
        cos, sin = angle.cos(), angle.sin()
        # Coordinates run from -1 to 1 over an image.
        rows = [cos * across, (slant - sin) * along, draw(2 * self.shift)]
        rows += [sin * across, cos * along, draw(2 * self.shift)]
        grid = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(images.shape), False)
        seen = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
        seen = seen * (1 + draw(self.contrast))[:, None, None, None]
        return seen + self.noise * torch.randn_like(seen)
