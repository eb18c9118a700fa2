"""What images are called, in tokens, and how a batch of images comes by it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from arclight_zoo.pixels.augment import Augment, Finish
from arclight_zoo.pixels.decode import Normalise
from arclight_zoo.tokens.ragged import Ragged

CAPTION = 28
"""The column of a sample's row that chooses among its captions; `augment` reads others."""


@dataclass(frozen=True)
class Captions:
    """Equally many captions of each class, all filled up to the longest.

    Attributes:
        tokens: int32 `(classes, each, longest)`.
        lengths: how many tokens are a caption's own, `(classes, each)`.
    """

    tokens: Tensor
    lengths: Tensor

    def to(self, device: torch.device) -> "Captions":
        return Captions(self.tokens.to(device), self.lengths.to(device))

    def every(self) -> tuple[Tensor, Tensor]:
        """All tokens, and where they are a caption's own: both `(classes, each, longest)`."""
        places = torch.arange(self.tokens.shape[-1], device=self.tokens.device)
        return self.tokens.long(), places < self.lengths[..., None]

    def of(self, classes: Tensor, which: Tensor | int) -> tuple[Tensor, Tensor]:
        """One caption of each of these classes: tokens and mask, both `(batch, longest)`.

        Args:
            classes: `(batch,)`.
            which: of a class's captions, `(batch,)`.
        """
        return Captions(self.tokens[classes, which], self.lengths[classes, which]).every()


def captions(texts: Ragged, each: int, pad: int) -> Captions:
    """The captions of one class behind each other, and so class after class."""
    tokens, own = texts.padded(torch.arange(len(texts)), pad)
    shape = (len(texts) // each, each)
    return Captions(tokens.to(torch.int32).view(*shape, -1), own.sum(1).view(shape))


class CaptionFinish(Finish):
    """The last step of every loader, where an image comes with one of its captions.

    Args:
        normalise: its mean and std.
        augment: None in evaluation.
        known: on the device of the batches.
    """

    def __init__(self, normalise: Normalise, augment: Augment | None, known: Captions) -> None:
        super().__init__(normalise, len(known.tokens), augment)
        self.known = known
        if known.tokens.shape[1] > 1:
            self.augment = augment  # loaders then make rows, though it may leave the images alone

    def __call__(  # type: ignore[override]  # a batch has more here
        self, images: Tensor, labels: Tensor, rows: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Images, tokens, mask and classes; in evaluation a class's first caption.

        Args:
            images: uint8 `(batch, channels, height, width)`, on any device.
            labels: `(batch,)`, on the same device.
            rows: the samples' rows of the random table, on the CPU; None in evaluation.
        """
        finished, classes = super().__call__(images, labels, rows)
        which: Tensor | int = 0
        each = self.known.tokens.shape[1]
        if rows is not None and each > 1:
            drawn = (rows[:, CAPTION] * each).long().clamp_(max=each - 1)
            which = drawn.to(labels.device, non_blocking=True)
        return finished, *self.known.of(classes, which), classes
