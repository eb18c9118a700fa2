"""A small U-Net for denoising diffusion."""

import math

import torch
from torch import Tensor, nn

from arclight.errors import UserError
from arclight.models.checks import check_probability
from arclight.ranges import Count, Pixels, Share


def time_embedding(times: Tensor, width: int) -> Tensor:
    """Sinusoidal embeddings `(batch, width)` of times `(batch,)` (Vaswani et al., 2017)."""
    steps = torch.arange(width // 2, device=times.device, dtype=torch.float32)
    angles = times[:, None].float() * torch.exp(-math.log(10_000) * steps / (width // 2))
    return torch.cat([angles.sin(), angles.cos()], 1)


class TimedBlock(nn.Module):
    """A residual block of two convolutions; the time embedding is added in between (Ho et al.,
    2020).

    Args:
        before: channels of the input.
        width: channels of the output; a multiple of 8.
        timed: width of the time embedding.
        dropout: before the second convolution.
    """

    def __init__(self, before: int, width: int, timed: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.GroupNorm(math.gcd(8, before), before),
            nn.SiLU(),
            nn.Conv2d(before, width, 3, padding=1),
        )
        self.time = nn.Linear(timed, width)
        self.second = nn.Sequential(
            nn.GroupNorm(8, width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.beside = nn.Conv2d(before, width, 1) if before != width else nn.Identity()

    def forward(self, x: Tensor, timed: Tensor) -> Tensor:
        """Maps `(batch, before, height, width)` and embeddings `(batch, timed)`."""
        shifted = self.first(x) + self.time(timed)[:, :, None, None]
        out: Tensor = self.beside(x) + self.second(shifted)
        return out


class UNet(nn.Module):
    """A small U-Net that predicts the noise in images (Ho et al., 2020).

    The encoder halves the image between the widths, and the decoder doubles it, with skip
    connections at each resolution.

    Args:
        in_channels: of the images; null in the config: from the data.
        image_size: height and width, a multiple of `2 ** (len(widths) - 1)`; from the data too.
        widths: channels at each size, multiples of 8.
        dropout: within the blocks.

    Raises:
        UserError: the sizes do not fit together.
    """

    def __init__(
        self,
        in_channels: Count,
        image_size: Pixels,
        widths: tuple[Count, ...] = (32, 64),
        dropout: Share = 0.0,
    ) -> None:
        super().__init__()
        check_probability("dropout", dropout)
        if not widths or any(width % 8 for width in widths):
            raise UserError(f"model.widths={list(widths)} should be multiples of 8.")
        halved = 2 ** (len(widths) - 1)
        if image_size % halved:
            raise UserError(
                f"Images of {image_size} pixels per side cannot be halved {len(widths) - 1} times: "
                f"type data.image_size={halved * max(1, round(image_size / halved))}, or give "
                "model.widths fewer numbers."
            )
        timed = 4 * widths[0]
        self.width = widths[0]
        self.time = nn.Sequential(nn.Linear(self.width, timed), nn.SiLU(), nn.Linear(timed, timed))
        self.enter = nn.Conv2d(in_channels, widths[0], 3, padding=1)
        sizes = list(zip([widths[0], *widths], widths, strict=False))
        self.down = nn.ModuleList(TimedBlock(a, b, timed, dropout) for a, b in sizes)
        self.reduce = nn.AvgPool2d(2)
        self.middle = TimedBlock(widths[-1], widths[-1], timed, dropout)
        self.up = nn.ModuleList(TimedBlock(2 * b, a, timed, dropout) for a, b in reversed(sizes))
        self.enlarge = nn.Upsample(scale_factor=2)
        self.leave = nn.Sequential(
            nn.GroupNorm(8, widths[0]),
            nn.SiLU(),
            nn.Conv2d(widths[0], in_channels, 3, padding=1),
        )

    def forward(self, images: Tensor, times: Tensor) -> Tensor:
        """Predicts the noise of images `(batch, channels, size, size)` at times `(batch,)`."""
        timed = self.time(time_embedding(times, self.width))
        x = self.enter(images)
        seen = []
        for i, block in enumerate(self.down):
            x = block(self.reduce(x) if i else x, timed)
            seen.append(x)
        x = self.middle(x, timed)
        for i, block in enumerate(self.up):
            x = block(torch.cat([self.enlarge(x) if i else x, seen.pop()], 1), timed)
        noise: Tensor = self.leave(x)
        return noise
