"""What suits images that nobody has said a size for: from how large they are, and how many."""

from dataclasses import dataclass

_SIZES = (
    # shorter side of most images, at least; what they are resized to; how they are augmented
    (96, 64, 0.3),
    (48, 48, 0.5),
    (0, None, 0.0),
)
"""Of photographs a random crop of at least so much of their area is trained on. Small pictures keep
their size, and are shifted by an eighth of it. On two cores, 4,000 photographs then take the CNN
some ten minutes; larger images want a GPU, and data.image_size=224."""


@dataclass(frozen=True)
class Fit:
    """What is chosen for a set of images.

    Attributes:
        image_size: pixels a side.
        resized_crop: see `Augment`; 0: none.
        crop: likewise.
    """

    image_size: int
    resized_crop: float
    crop: int

    def __str__(self) -> str:
        how = (
            f"data.augment.resized_crop={self.resized_crop}"
            if self.resized_crop
            else f"data.augment.crop={self.crop}"
        )
        return f"data.image_size={self.image_size} {how}"


def fit(side: int) -> Fit:
    """What suits images of which half have a shorter side of `side` pixels or more."""
    size, share = next((size or side, share) for least, size, share in _SIZES if side >= least)
    return Fit(size, share, 0 if share else size // 8)
