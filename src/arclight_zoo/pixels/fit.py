"""Choose sizes, crops, batches and epochs by the size and the number of the images.

Each choice is for a key that is `auto` or null, and is printed when a run starts. Typed keys win.
"""

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

from arclight.errors import UserError

if TYPE_CHECKING:
    from arclight_zoo.pixels.augment import Augment

_SIZES = (
    # shorter side of most images, at least; data.image_size; data.augment.resized_crop;
    # data.eval_crop
    (96, 64, 0.3, 0.875),
    (48, 48, 0.5, 1.0),
    (0, None, 0.0, 1.0),
)
"""Photographs are trained on random crops, in which objects look larger than in the whole image, so
evaluation crops a little too (Touvron et al., 2019). Smaller images keep their size, and tiny ones
are shifted by up to an eighth of it. Larger sizes need a GPU."""

_COUNTS = (
    # training images, at most; data.batch_size; trainer.max_epochs
    (500, 16, 100),
    (2_000, 32, 60),
    (5_000, 32, 40),
    (20_000, 64, 25),
    (100_000, 128, 15),
    (inf, 128, 10),
)
"""The fewer images, the more epochs, but fewer steps in all. Training the CNN on 3,500 photographs
takes some 1,250 processor seconds."""

_FEWEST_BATCHES = 4  # per epoch; smaller data sets get a smaller batch size
_FEWEST_PATCHES = 16
_MOST_PATCHES = 200  # for a vision transformer: the cost of attention grows with its square
_SMALL = 48  # up to this many pixels per side, a network starts at full resolution, without pooling


def by_size(side: int) -> dict[str, int | float]:
    """The choices for images with a median shorter side of `side` pixels."""
    size, share, kept = next(suits for least, *suits in _SIZES if side >= least)
    size = int(size or side)
    return {
        "data.image_size": size,
        "data.augment.resized_crop": share or 0.0,
        "data.augment.crop": 0 if share else size // 8,
        "data.eval_crop": kept or 1.0,
    }


def fit_crops(
    side: int, augment: "Augment", eval_crop: float | None, in_memory: bool
) -> "tuple[dict[str, Any], Augment, float | None]":
    """The choices of crops that are None, and augmentation and evaluation crop with them.

    Args:
        side: the median shorter side of the images.
        augment: the augmentation.
        eval_crop: see `ImageData`.
        in_memory: the decoded images are kept, so original images cannot be cropped.

    Raises:
        UserError: `in_memory` with a crop of the original images.
    """
    suits, chosen = by_size(side), {}
    if augment.resized_crop is None:
        share = 0.0 if in_memory else suits["data.augment.resized_crop"]
        chosen["data.augment.resized_crop"] = share
        augment = replace(augment, resized_crop=share)
        if eval_crop is None and share:
            eval_crop = chosen["data.eval_crop"] = suits["data.eval_crop"]
    if augment.crop is None:
        crop = 0 if augment.resized_crop else int(suits["data.augment.crop"])
        augment = replace(augment, crop=crop)
        if augment.crop:
            chosen["data.augment.crop"] = augment.crop
    if in_memory and augment.resized_crop:
        raise UserError(
            "data.augment.resized_crop needs the original images, which data.loader=memory "
            "does not keep: type data.loader=workers."
        )
    return chosen, augment, eval_crop


def by_number(images: int) -> dict[str, int]:
    """The choices for this number of training images."""
    size, epochs = next((size, epochs) for most, size, epochs in _COUNTS if images <= most)
    while size > 1 and size * _FEWEST_BATCHES > images:
        size //= 2
    return {"data.batch_size": size, "trainer.max_epochs": epochs}


def widths_for(image_size: int | None) -> tuple[int, ...]:
    """`model.widths` of the CNN; large images get more and narrower layers."""
    return (64, 128, 256) if (image_size or 0) <= 32 else (32, 64, 128, 256)


def residual_for(image_size: int | None) -> bool:
    """`model.residual` of the CNN."""
    return (image_size or 0) > 32


def patch_size_for(image_size: int) -> int:
    """`model.patch_size`: the smallest divisor from 4 on that makes 16 to 200 patches, or 4."""
    divisors = (p for p in range(4, image_size + 1) if image_size % p == 0)
    fitting = (p for p in divisors if _FEWEST_PATCHES <= (image_size // p) ** 2 <= _MOST_PATCHES)
    return next(fitting, 4)


def is_small(image_size: int | None) -> bool:
    """`model.small_images` of a ResNet."""
    return (image_size or 0) <= _SMALL
