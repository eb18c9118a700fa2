"""A ViT that attends across the batch by mistake, and a task that measures the effect.

`nn.MultiheadAttention` without `batch_first=True` takes the first dimension as the sequence. Given
tokens `(batch, tokens, d_model)`, each patch attends to the same patch of the other images, and
never to other patches of its own image. A class token then only sees other class tokens, which are
all equal.
"""

from typing import Any

import torch
from torch import Tensor, nn

from arclight_zoo.image.classification import ImageClassification
from arclight_zoo.image.vit import ViT

__all__ = ["AcrossTheBatch", "NeighbourClassification"]


class _Transposed(nn.Module):
    """Applies a block with the batch as its sequence."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, tokens: Tensor) -> Tensor:
        """Maps `(batch, tokens, d_model)` to the same shape."""
        out: Tensor = self.block(tokens.transpose(0, 1))
        return out.transpose(0, 1)


class AcrossTheBatch(ViT):
    """A ViT whose attention goes across the images of a batch; see the docstring of this module.

    Args:
        given: the arguments of `ViT`.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.transformer = nn.ModuleList(_Transposed(block) for block in self.transformer)


class NeighbourClassification(ImageClassification):
    """Image classification that also tests how much logits depend on the rest of the batch.

    `test/neighbour_shift` is the mean absolute difference between an image's logits in its batch
    and in half of it, divided by the standard deviation of all logits; 0 if images are independent.
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
