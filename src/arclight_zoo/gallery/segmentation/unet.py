"""U-Net for segmentation."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from arclight.errors import UserError
from arclight.ranges import Count


def convolutions(before: int, width: int) -> nn.Sequential:
    """Two 3x3 convolutions, each with batch norm and ReLU."""
    layers: list[nn.Module] = []
    for channels in (before, width):
        layers += [
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """U-Net (Ronneberger et al., 2015), with padded convolutions and batch norm.

    Args:
        num_classes: logits of each pixel.
        in_channels: 1 for grey images, 3 for colour.
        widths: channels at each resolution, finest first; the image is halved between them.

    Raises:
        UserError: `widths` is empty, or (in `forward`) the image size does not fit.
    """

    def __init__(
        self,
        num_classes: Count = 2,
        *,
        in_channels: Count = 3,
        widths: Sequence[Count] = (16, 32, 64),
    ) -> None:
        super().__init__()
        if not widths:
            raise UserError("model.widths is empty: type model.widths=[16,32,64], for example.")
        self.factor = 2 ** (len(widths) - 1)
        self.down = nn.ModuleList(
            convolutions(a, b) for a, b in zip([in_channels, *widths], widths, strict=False)
        )
        coarse_first = list(reversed(widths))
        self.larger = nn.ModuleList(
            nn.ConvTranspose2d(a, b, kernel_size=2, stride=2) for a, b in pairwise(coarse_first)
        )
        self.up = nn.ModuleList(convolutions(2 * width, width) for width in coarse_first[1:])
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(widths[0], num_classes, kernel_size=1)

    def get_classifier(self) -> nn.Module:
        """The head."""
        return self.head

    def forward(self, x: Tensor) -> Tensor:
        """Images `(batch, in_channels, height, width)` to logits with `num_classes` channels."""
        height, width = x.shape[-2:]
        if height % self.factor or width % self.factor:
            near = max(self.factor, round(height / self.factor) * self.factor)
            raise UserError(
                f"An image of {height}x{width} cannot be halved {len(self.up)} times: type "
                f"data.image_size={near}, or give model.widths fewer numbers."
            )
        bridges: list[Tensor] = []
        for i, stage in enumerate(self.down):
            x = stage(self.pool(x) if i else x)
            bridges.append(x)
        bridges.pop()
        for larger, stage in zip(self.larger, self.up, strict=True):
            x = stage(torch.cat([bridges.pop(), larger(x)], dim=1))
        logits: Tensor = self.head(x)
        return logits
