"""Augment whole batches; the random numbers of an image come from its row of a table.

The same (seed, epoch, sample) gives the same image in any batch, process or loader. Only mixup and
CutMix use a second image, which depends on the batch.

On the CPU, NumPy copies images: it copies whole lines where torch copies single bytes. It also
avoids torch's threads, because waiting for them in a dozen small operations is slow.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from arclight.data.order import SIDE
from arclight.errors import UserError
from arclight.ranges import Natural, NonNegative, Share
from arclight_zoo.pixels.decode import Normalise
from arclight_zoo.pixels.rectangles import rectangles

# Which columns of a sample's row each augmentation reads (see `order.random_table`).
CROP, FLIP, ERASE, POLICY, MIX, RESIZED_CROP = 0, 2, 3, 8, 16, 24


@dataclass(frozen=True)
class Augment:
    """The augmentation of training images; zero switches a field off.

    Attributes:
        crop: shift by up to this many pixels in each direction: a random crop of the padded image.
        padding: fill for the crop: `zeros`, or `reflect` (the image mirrored at its edge).
        flip: mirror left to right with probability 0.5; `alternating` (Jordan, 2024): in every
            other epoch, so that two epochs show both sides of an image.
        policy: `trivial` (TrivialAugment-Wide: Mueller and Hutter, 2021) or `randaugment`
            (RandAugment: Cubuk et al., 2020; two operations of magnitude 9).
        erase: probability of a random rectangle set to the mean (Zhong et al., 2020).
        mixup: alpha of mixup (Zhang et al., 2018); if both are on, each is used half the time.
        cutmix: alpha of CutMix (Yun et al., 2019).
        mix_prob: probability that an image is mixed, if `mixup` or `cutmix` is on.
        resized_crop: smallest fraction of the image's area that a random crop keeps before it is
            resized to the image size (0.08 for ImageNet: Szegedy et al., 2015).

    `crop` and `resized_crop` may be None: chosen by image size, see `arclight_zoo.pixels.fit`.
    """

    crop: Natural | None = 0
    padding: Literal["zeros", "reflect"] = "zeros"
    flip: bool | Literal["alternating"] = False
    policy: Literal["trivial", "randaugment"] | None = None
    erase: Share = 0.0
    mixup: NonNegative = 0.0
    cutmix: NonNegative = 0.0
    mix_prob: Share = 1.0
    resized_crop: Share | None = 0.0

    def __post_init__(self) -> None:
        for name in ("crop", "mixup", "cutmix"):
            if (getattr(self, name) or 0) < 0:
                raise UserError(
                    f"data.augment.{name}={getattr(self, name)} should be 0 (none) or more."
                )
        for name in ("erase", "mix_prob", "resized_crop"):
            if not 0 <= (getattr(self, name) or 0) <= 1:
                raise UserError(
                    f"data.augment.{name}={getattr(self, name)} should be between 0 (none) and 1."
                )

    @property
    def none(self) -> bool:
        """Whether augmentation is off."""
        return self == Augment(padding=self.padding, mix_prob=self.mix_prob)


class Finish:
    """The last step of every loader: uint8 images of a batch to the model's input.

    Args:
        normalise: subtracts the mean and divides by the std.
        num_classes: the width of mixed targets.
        augment: None in evaluation.
    """

    def __init__(self, normalise: Normalise, num_classes: int, augment: Augment | None) -> None:
        self.normalise, self.num_classes = normalise, num_classes
        self.augment = None if augment is None or augment.none else augment

    def __call__(
        self, images: Tensor, labels: Tensor, rows: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Augments and normalises.

        Args:
            images: uint8 `(batch, channels, height, width)`, on any device.
            labels: `(batch,)`, or `(batch, classes or values)`, on the same device.
            rows: the samples' rows of the random table, on the CPU; None in evaluation.

        Returns:
            float32 images, and the labels; with mixup or CutMix, float targets
            `(batch, num_classes)`.
        """
        how = self.augment
        if how is None or rows is None:
            return self.normalise(images), labels
        if how.crop:
            top, left = offsets(rows[:, CROP : CROP + 2], how.crop)
            images = crop(images, top, left, how.crop, how.padding)
        if how.flip:
            images = flip(images, rows[:, SIDE if how.flip == "alternating" else FLIP] < 0.5)
        if how.policy:
            from arclight_zoo.pixels.policy import apply_policy

            images = apply_policy(images, rows[:, POLICY : POLICY + 8], how.policy)
        floats = self.normalise(images)
        if how.erase:
            floats = erase(floats, rows[:, ERASE : ERASE + 5], how.erase)
        if how.mixup or how.cutmix:
            from arclight_zoo.pixels.mixing import mix_batch

            several = labels.ndim > 1
            targets = labels if several else F.one_hot(labels, self.num_classes)
            u = rows[:, MIX : MIX + 5]
            return mix_batch(
                floats, targets.to(floats.dtype), u, how.mixup, how.cutmix, how.mix_prob
            )
        return floats, labels


def offsets(u: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """Top and left `(batch,)` in 0 ... 2 * reach, from uniform numbers `(batch, 2)`."""
    steps = 2 * reach + 1
    whole = (u * steps).long().clamp_(max=2 * reach)
    return whole[:, 0], whole[:, 1]


def crop(images: Tensor, top: Tensor, left: Tensor, reach: int, padding: str) -> Tensor:
    """Pads by `reach` on each side and cuts each image's own window of the old size.

    Args:
        images: uint8 `(batch, channels, height, width)`.
        top: top edge of each window in the padded image, `(batch,)` in 0 ... 2 * reach.
        left: left edge, `(batch,)` in 0 ... 2 * reach.
        reach: pixels.
        padding: `zeros` or `reflect`.
    """
    batch, _, height, width = images.shape
    if images.device.type == "cpu":
        border = ((0, 0), (0, 0), (reach, reach), (reach, reach))
        mode: Literal["constant", "reflect"] = "constant" if padding == "zeros" else "reflect"
        windows = sliding_window_view(np.pad(images.numpy(), border, mode), (height, width), (2, 3))
        return torch.from_numpy(windows[np.arange(batch), :, top.numpy(), left.numpy()])
    every = _padded(images, reach, padding).unfold(2, height, 1).unfold(3, width, 1)
    top, left = (t.to(images.device, non_blocking=True) for t in (top, left))
    return every[torch.arange(batch, device=images.device), :, top, left]


def _padded(images: Tensor, reach: int, padding: str) -> Tensor:
    if padding == "zeros":
        return F.pad(images, (reach, reach, reach, reach))
    for dim in (-2, -1):  # torch's own reflection does not support uint8
        size = images.shape[dim]
        there_and_back = max(1, 2 * (size - 1))  # a longer reach is mirrored again
        source = torch.arange(-reach, size + reach, device=images.device) % there_and_back
        source = (size - 1) - ((size - 1) - source).abs()
        images = images.index_select(dim, source)
    return images


def flip(images: Tensor, which: Tensor) -> Tensor:
    """Mirrors the selected images left to right; `which` is `(batch,)`, bool, on the CPU."""
    if images.device.type == "cpu":
        pixels, chosen = images.numpy().copy(), which.numpy()
        pixels[chosen] = pixels[chosen][..., ::-1]
        return torch.from_numpy(pixels)
    there = which.to(images.device, non_blocking=True)[:, None, None, None]
    return torch.where(there, images.flip(-1), images)


def erase(images: Tensor, u: Tensor, probability: float) -> Tensor:
    """Sets a random rectangle to zero, the mean: 2 to 33 % of the area, aspect ratio 0.3 to 3.3.

    Unlike in torchvision, a rectangle that does not fit is trimmed to the image, not redrawn.

    Args:
        images: normalised `(batch, channels, height, width)`.
        u: uniform numbers `(batch, 5)`: whether to erase, area, ratio, y, x.
    """
    height, width = images.shape[-2:]
    area = height * width * (0.02 + u[:, 1] * (0.33 - 0.02))
    ratio = torch.exp((u[:, 2] * 2 - 1) * torch.log(torch.tensor(3.3)))
    h = (area * ratio).sqrt().round().clamp(1, height)
    w = (area / ratio).sqrt().round().clamp(1, width)
    top, left = (u[:, 3] * (height - h + 1)).floor(), (u[:, 4] * (width - w + 1)).floor()
    h = torch.where(u[:, 0] < probability, h, 0)
    return images.masked_fill(rectangles(top, left, h, w, images), 0.0)
