"""Tokenised captions, and how they are added to batches of images."""

from dataclasses import dataclass

import torch
from torch import Tensor

from arclight_zoo.pixels.augment import Augment, Finish
from arclight_zoo.pixels.decode import Normalise
from arclight_zoo.tokens.ragged import Ragged

CAPTION = 28
"""The column of the random table that chooses a caption; `augment` reads other columns."""


@dataclass(frozen=True)
class Captions:
    """The same number of captions for each class, padded to the longest.

    Attributes:
        tokens: int32 `(classes, each, longest)`.
        lengths: number of tokens without padding, `(classes, each)`.
    """

    tokens: Tensor
    lengths: Tensor

    def to(self, device: torch.device) -> "Captions":
        return Captions(self.tokens.to(device), self.lengths.to(device))

    def every(self) -> tuple[Tensor, Tensor]:
        """All tokens and their mask (False: padding), both `(classes, each, longest)`."""
        places = torch.arange(self.tokens.shape[-1], device=self.tokens.device)
        return self.tokens.long(), places < self.lengths[..., None]

    def of(self, classes: Tensor, which: Tensor | int) -> tuple[Tensor, Tensor]:
        """A caption for each of these classes: tokens and mask, both `(batch, longest)`.

        Args:
            classes: `(batch,)`.
            which: index of the caption within its class, `(batch,)`.
        """
        return Captions(self.tokens[classes, which], self.lengths[classes, which]).every()


def captions(texts: Ragged, each: int, pad: int) -> Captions:
    """Builds `Captions` from texts that are ordered by class, with `each` texts per class."""
    tokens, own = texts.padded(torch.arange(len(texts)), pad)
    shape = (len(texts) // each, each)
    return Captions(tokens.to(torch.int32).view(*shape, -1), own.sum(1).view(shape))


class CaptionFinish(Finish):
    """The last step of every loader; adds a caption to each image.

    Args:
        normalise: subtracts the mean and divides by the std.
        augment: None in evaluation.
        known: the captions, on the device of the batches.
    """

    def __init__(self, normalise: Normalise, augment: Augment | None, known: Captions) -> None:
        super().__init__(normalise, len(known.tokens), augment)
        self.known = known
        if known.tokens.shape[1] > 1:
            self.augment = augment  # so that loaders draw random rows, which choose captions

    def __call__(  # type: ignore[override]  # a batch has more here
        self, images: Tensor, labels: Tensor, rows: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Images, tokens, mask and classes; evaluation uses the first caption of each class.

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
