"""Mixup and CutMix: mix each image and its target with its neighbour in the batch."""

import torch
from torch import Tensor

from arclight_zoo.pixels.rectangles import rectangles


def mix_batch(
    images: Tensor,
    targets: Tensor,
    u: Tensor,
    mixup: float,
    cutmix: float,
    probability: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Mixes image i with image i - 1 of the batch; each image has its own mixing ratio.

    Args:
        images: float `(batch, channels, height, width)`.
        targets: float `(batch, num_classes)`.
        u: uniform numbers `(batch, 5)` on the CPU: ratio, method, y, x, whether to mix.
        mixup: alpha of mixup (Zhang et al., 2018); 0 for none.
        cutmix: alpha of CutMix (Yun et al., 2019); 0 for none.
        probability: that an image is mixed.

    Returns:
        Images and targets of the same shapes.
    """
    cut = u[:, 1] < (0.5 if mixup and cutmix else float(cutmix > 0))
    keep = torch.where(cut, _beta(u[:, 0], cutmix or 1.0), _beta(u[:, 0], mixup or 1.0))
    keep = torch.where(u[:, 4] < probability, keep, 1.0)
    mask, visible = _boxes(keep, u[:, 2], u[:, 3], images)
    share = torch.where(cut, visible, keep).to(images.device, non_blocking=True)
    cut_here = cut.to(images.device, non_blocking=True)
    # The image's weight per pixel: the ratio in mixup; in CutMix 0 inside the box, else 1.
    weight = torch.where(
        cut_here[:, None, None, None], 1.0 - mask.float(), share[:, None, None, None]
    )
    images = torch.lerp(images.roll(1, 0), images, weight)
    return images, torch.lerp(targets.roll(1, 0), targets, share[:, None])


def _beta(u: Tensor, alpha: float) -> Tensor:
    """Converts uniform numbers to Beta(alpha, alpha) with the inverse distribution function."""
    if alpha == 1.0:
        return u
    from scipy.special import betaincinv

    return torch.from_numpy(betaincinv(alpha, alpha, u.double().numpy())).float()


def _boxes(keep: Tensor, y: Tensor, x: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes of area 1 - `keep` around a uniform centre, trimmed; and the area that is kept."""
    height, width = images.shape[-2:]
    side = (1 - keep).clamp(min=0).sqrt()
    h, w = (height * side).floor(), (width * side).floor()
    middle_y, middle_x = (y * height).floor(), (x * width).floor()
    top, left = (middle_y - h // 2).clamp(0), (middle_x - w // 2).clamp(0)
    bottom = (middle_y - h // 2 + h).clamp(max=height)
    right = (middle_x - w // 2 + w).clamp(max=width)
    h, w = bottom - top, right - left
    return rectangles(top, left, h, w, images), 1 - h * w / (height * width)
