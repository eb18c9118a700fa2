"""What a model must know about the images before it is built."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ImageFacts:
    """The facts of an image data set as a run uses it.

    Attributes:
        num_classes: how many classes; `class_names[i]` is the name of label i.
        image_size: height and width in pixels.
        channels: 1 (grey) or 3 (RGB).
        mean: of the training pixels, per channel, on the scale 0 to 1; `std` likewise.
        sizes: images in "train", "val" and "test".
        fingerprint: SHA-256 over the pixels and labels of the three splits (for sets too large
            for memory: over the labels and the source's own fingerprint).
    """

    num_classes: int
    class_names: list[str]
    image_size: int
    channels: int
    mean: list[float]
    std: list[float]
    sizes: dict[str, int]
    fingerprint: str

    def for_model(self) -> dict[str, Any]:
        """What a model's constructor may need, under its parameters' names."""
        return {
            "num_classes": self.num_classes,
            "in_channels": self.channels,
            "image_size": self.image_size,
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain containers, as JSON and a checkpoint keep them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "ImageFacts":
        return cls(**plain)
