"""Rectangular masks for a batch of images."""

import torch
from torch import Tensor


def rectangles(top: Tensor, left: Tensor, h: Tensor, w: Tensor, like: Tensor) -> Tensor:
    """A mask `(batch, 1, height, width)` that is true inside each image's own rectangle."""
    box = torch.stack([top, left, top + h, left + w], 1).to(like.device, non_blocking=True)
    y0, x0, y1, x1 = box[:, :, None].unbind(1)
    y = torch.arange(like.shape[-2], device=like.device)
    x = torch.arange(like.shape[-1], device=like.device)
    inside_y, inside_x = (y >= y0) & (y < y1), (x >= x0) & (x < x1)
    return (inside_y[:, :, None] & inside_x[:, None, :])[:, None]
