"""RandAugment and TrivialAugment-Wide on whole batches; each image gets its own operation.

The operations, their strengths and their arithmetic equal torchvision's on uint8 tensors (nearest
pixels, black outside); tests compare them. Two things differ: images with the same operation are
processed together, and the random choices come from the images' rows of the random table.
"""

from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

GEOMETRY = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
OPERATIONS = (
    *("identity", *GEOMETRY, "brightness", "color", "contrast", "sharpness"),
    *("posterize", "solarize", "autocontrast", "equalize"),
)
_SIGNED = {*GEOMETRY, "brightness", "color", "contrast", "sharpness"}
_BINS = 31


def apply_policy(images: Tensor, u: Tensor, policy: str) -> Tensor:
    """Applies the policy's operations to uint8 images.

    Args:
        images: uint8 `(batch, channels, height, width)`.
        u: uniform numbers `(batch, 8)` on the CPU: operation, strength and sign, per step.
        policy: `trivial` (one operation of any strength) or `randaugment` (two of strength 9).
    """
    for step in range(1 if policy == "trivial" else 2):
        which, strength, sign = u[:, 3 * step : 3 * step + 3].unbind(1)
        op = (which * len(OPERATIONS)).long().clamp_(max=len(OPERATIONS) - 1)
        if policy == "trivial":
            bins = (strength * _BINS).long().clamp_(max=_BINS - 1)
        else:
            bins = torch.full_like(op, 9)
        table = _strengths(policy, images.shape[-2], images.shape[-1])
        signs = torch.where(sign < 0.5, -1.0, 1.0)
        magnitude = table[op, bins] * torch.where(_is_signed()[op], signs, 1.0)
        images = apply_operations(images, op, magnitude)
    return images


def apply_operations(images: Tensor, op: Tensor, magnitude: Tensor) -> Tensor:
    """Applies to each image its own operation and magnitude.

    Args:
        images: uint8 `(batch, channels, height, width)`, on any device.
        op: indices into `OPERATIONS`, `(batch,)` on the CPU, to avoid host synchronisation.
        magnitude: `(batch,)` on the CPU: slope, pixels, degrees, change of the factor from 1,
            bits kept, or threshold.
    """
    images = images.clone()
    device = images.device
    for number, name in enumerate(OPERATIONS):
        rows = torch.nonzero(op == number)[:, 0]
        if name == "identity" or not len(rows):
            continue
        m = magnitude[rows]
        there = _sent(rows, device)
        chosen = images.index_select(0, there)
        if name in GEOMETRY:
            done = _move(chosen, _sent(_inverse(name, m, *images.shape[-2:]), device))
        else:
            done = _COLOUR[name](chosen, _sent(m, device)[:, None, None, None])
        images.index_copy_(0, there, done)
    return images


def _sent(table: Tensor, device: torch.device) -> Tensor:
    """Copies a table to the device through pinned memory, without host synchronisation."""
    if device.type == "cuda":
        table = table.pin_memory()
    return table.to(device, non_blocking=True)


@lru_cache
def _is_signed() -> Tensor:
    return torch.tensor([name in _SIGNED for name in OPERATIONS])


@lru_cache
def _strengths(policy: str, height: int, width: int) -> Tensor:
    """Magnitudes `(operations, bins)`, as in torchvision's two policies."""
    wide = policy == "trivial"
    factor, slope = (0.99, 0.99) if wide else (0.9, 0.3)
    most = {
        "shear_x": slope,
        "shear_y": slope,
        "translate_x": 32.0 if wide else 150.0 / 331.0 * width,
        "translate_y": 32.0 if wide else 150.0 / 331.0 * height,
        "rotate": 135.0 if wide else 30.0,
        **dict.fromkeys(("brightness", "color", "contrast", "sharpness"), factor),
    }
    table = torch.zeros(len(OPERATIONS), _BINS)
    for name, value in most.items():
        table[OPERATIONS.index(name)] = torch.linspace(0.0, value, _BINS)
    for name in ("translate_x", "translate_y"):
        table[OPERATIONS.index(name)].trunc_()
    bits_lost = (torch.arange(_BINS) / ((_BINS - 1) / (6 if wide else 4))).round()
    table[OPERATIONS.index("posterize")] = 8 - bits_lost
    table[OPERATIONS.index("solarize")] = torch.linspace(255.0, 0.0, _BINS)
    return table


def _inverse(name: str, m: Tensor, height: int, width: int) -> Tensor:
    """Affine maps from output to input pixels, relative to the centre: `(batch, 2, 3)`."""
    a = torch.eye(2, 3).repeat(len(m), 1, 1)
    if name == "shear_x":  # about the top left corner, as in the papers
        a[:, 0, 1], a[:, 0, 2] = m, m * height / 2
    elif name == "shear_y":
        a[:, 1, 0], a[:, 1, 2] = m, m * width / 2
    elif name == "translate_x":
        a[:, 0, 2] = -m
    elif name == "translate_y":
        a[:, 1, 2] = -m
    else:
        cos, sin = torch.cos(m.deg2rad()), torch.sin(m.deg2rad())
        a[:, 0, 0], a[:, 0, 1], a[:, 1, 0], a[:, 1, 1] = cos, -sin, sin, cos
    return a


def _move(images: Tensor, inverse: Tensor) -> Tensor:
    """Applies affine maps, without matrix products: in TF32 these are off by whole pixels."""
    height, width = images.shape[-2:]
    y = torch.arange(height, device=images.device) - (height - 1) / 2
    x = torch.arange(width, device=images.device) - (width - 1) / 2
    of_x, of_y, shift = inverse[..., None, None].unbind(2)  # each `(batch, 2, 1, 1)`
    source_x, source_y = (of_x * x + of_y * y[:, None] + shift).unbind(1)
    grid = torch.stack([source_x / (width / 2), source_y / (height / 2)], -1)
    moved = F.grid_sample(images.float(), grid, "nearest", "zeros", align_corners=False)
    return moved.to(torch.uint8)


def _blend(images: Tensor, other: Tensor, change: Tensor) -> Tensor:
    factor = 1 + change
    return (images * factor + other * (1 - factor)).clamp_(0, 255).to(torch.uint8)


def _grey(images: Tensor) -> Tensor:
    if images.shape[1] == 1:
        return images.float()
    red, green, blue = images.unbind(1)
    return (red * 0.2989 + green * 0.587 + blue * 0.114).floor_().unsqueeze(1)


def _brightness(images: Tensor, change: Tensor) -> Tensor:
    return (images * (1 + change)).clamp_(0, 255).to(torch.uint8)


def _color(images: Tensor, change: Tensor) -> Tensor:
    return images if images.shape[1] == 1 else _blend(images, _grey(images), change)


def _contrast(images: Tensor, change: Tensor) -> Tensor:
    return _blend(images, _grey(images).mean((1, 2, 3), keepdim=True), change)


def _sharpness(images: Tensor, change: Tensor) -> Tensor:
    height, width = images.shape[2:]
    if height <= 2 or width <= 2:
        return images
    blurred = images.float()
    inner = 4 * blurred[:, :, 1:-1, 1:-1]  # a 3x3 mean in which the middle counts five times
    for top in range(3):
        for left in range(3):
            inner += blurred[:, :, top : top + height - 2, left : left + width - 2]
    blurred[:, :, 1:-1, 1:-1] = (inner / 13).round_()
    return _blend(images, blurred, change)


def _posterize(images: Tensor, bits: Tensor) -> Tensor:
    return images & (256 - 2 ** (8 - bits)).to(torch.uint8)


def _solarize(images: Tensor, threshold: Tensor) -> Tensor:
    return torch.where(images >= threshold, 255 - images, images)


def _autocontrast(images: Tensor, _: Tensor) -> Tensor:
    low, high = images.amin((-2, -1), keepdim=True), images.amax((-2, -1), keepdim=True)
    flat = low == high
    low = torch.where(flat, 0, low)
    scale = torch.where(flat, 1.0, (high - low) / 255)
    return ((images - low.float()) / scale).clamp_(0, 255).to(torch.uint8)


def _equalize(images: Tensor, _: Tensor) -> Tensor:
    flat = images.flatten(2).long()
    counts = torch.zeros(*flat.shape[:2], 256, dtype=torch.long, device=images.device)
    counts.scatter_add_(2, flat, torch.ones_like(flat))
    summed = counts.cumsum(2)
    # As in Pillow, the brightest shade of the image does not count.
    brightest = flat.amax(2, keepdim=True)
    step = (flat.shape[2] - counts.gather(2, brightest)) // 255
    below = F.pad(summed[:, :, :-1], (1, 0))
    table = ((below + step // 2) // step.clamp(min=1)).clamp_(0, 255)
    equal = table.gather(2, flat).to(torch.uint8).view_as(images)
    return torch.where(step[..., None] == 0, images, equal)


_COLOUR: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": _brightness,
    "color": _color,
    "contrast": _contrast,
    "sharpness": _sharpness,
    "posterize": _posterize,
    "solarize": _solarize,
    "autocontrast": _autocontrast,
    "equalize": _equalize,
}
