"""Augment images and masks together; random numbers come from the sample's row of a table."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from arclight.errors import UserError
from arclight.ranges import Natural, Share
from arclight_zoo.pixels.augment import CROP, FLIP, POLICY, crop, flip, offsets


@dataclass(frozen=True)
class PairAugment:
    """The augmentation of training pairs; zero switches a field off.

    Attributes:
        crop: shift by up to this many pixels in each direction.
        padding: fill for the shift: `zeros` (unlabelled), or `reflect`.
        flip: mirror left to right, with probability 0.5.
        contrast: multiply the image's contrast by a factor in 1 - contrast to 1 + contrast.
    """

    crop: Natural = 0
    padding: Literal["zeros", "reflect"] = "zeros"
    flip: bool = False
    contrast: Share = 0.0

    def __post_init__(self) -> None:
        if self.crop < 0:
            raise UserError(f"data.augment.crop={self.crop} should be 0 (none) or more.")
        if not 0 <= self.contrast <= 1:
            raise UserError(f"data.augment.contrast={self.contrast} should be from 0 (none) to 1.")

    def move(self, stack: Tensor, rows: Tensor) -> Tensor:
        """Shifts and mirrors uint8 `(batch, channels + mask, height, width)`.

        Args:
            stack: images with their masks as the last channel.
            rows: the samples' rows of the random table.
        """
        if self.crop:
            top, left = offsets(rows[:, CROP : CROP + 2], self.crop)
            stack = crop(stack, top, left, self.crop, self.padding)
        if self.flip:
            stack = flip(stack, rows[:, FLIP] < 0.5)
        return stack

    def shade(self, images: Tensor, rows: Tensor) -> Tensor:
        """Changes the contrast of normalised images `(batch, channels, height, width)`."""
        if not self.contrast:
            return images
        factor = 1 + self.contrast * (2 * rows[:, POLICY] - 1)
        return images * factor[:, None, None, None].to(images)
