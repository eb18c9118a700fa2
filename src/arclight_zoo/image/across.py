"""What sequence-first attention does to a batch: a variant of the ViT, and a task that measures it.

`nn.MultiheadAttention` without `batch_first=True` takes the first dimension for the sequence. Given
tokens `(batch, tokens, d_model)`, it lets the same patch of all images of a batch attend to each
other, and the patches of one image never. A class token then sees nothing but other class tokens,
which are all the same.
"""

from typing import Any

import torch
from torch import Tensor, nn

from arclight_zoo.image.classification import ImageClassification
from arclight_zoo.image.vit import ViT

__all__ = ["AcrossTheBatch", "NeighbourClassification"]


class _Transposed(nn.Module):
    """A block that takes the batch for the sequence."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, tokens: Tensor) -> Tensor:
        """`(batch, tokens, d_model)`, as it is returned."""
        out: Tensor = self.block(tokens.transpose(0, 1))
        return out.transpose(0, 1)


class AcrossTheBatch(ViT):
    """The ViT whose attention goes across the images of a batch: see this module.

    Args:
        given: those of `ViT`.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.transformer = nn.ModuleList(_Transposed(block) for block in self.transformer)


class NeighbourClassification(ImageClassification):
    """Image classification that also measures, in the test, how much logits move with the batch.

    `test/neighbour_shift` is the mean absolute difference between an image's logits in its batch
    and in half of it, over the standard deviation of all logits; 0 where images are independent.
    """

    def test_step(self, batch: Any, batch_idx: int) -> None:
        images, targets = batch
        self.evaluate(images, targets)
        if len(images) < 2:
            return
        whole = self.model(images).float()
        halves = torch.empty_like(whole)
        for start in (0, 1):
            halves[start::2] = self.model(images[start::2]).float()
        moved = (whole - halves).abs().mean() / whole.std().clamp_min(1e-12)
        self.log(
            "test/neighbour_shift",
            moved,
            on_step=False,
            on_epoch=True,
            batch_size=len(images),
            sync_dist=True,
        )
