"""Save generated images, alone or as a grid."""

from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image
from torchvision.utils import make_grid

from arclight.files import write_whole

SIDE = 64  # least pixels per side of an image in a grid


def save_sheet(images: Tensor, file: Path, columns: int = 12) -> Path:
    """Writes images as a grid in one png, enlarged so that pixels are visible; returns the file.

    Args:
        images: `(n, channels, height, width)` from 0 to 1.
        file: to write; its folder is created.
        columns: of the grid.
    """
    times = max(1, SIDE // images.shape[-1])
    large = images.repeat_interleave(times, -1).repeat_interleave(times, -2)
    return save_image(make_grid(large.float().cpu(), columns, padding=2, pad_value=0.5), file)


def save_image(image: Tensor, file: Path) -> Path:
    """Writes an image `(channels, height, width)` from 0 to 1 as png, and returns the file."""
    pixels = to_pil_image((image * 255).round().to(torch.uint8))
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, lambda opened: pixels.save(opened, "png"))
    return file
