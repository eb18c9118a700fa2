"""What a model must know about labelled images."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from arclight.data.facts import Facts, first_size

WEIGHTS_KNOW = ("image_size", "channels", "mean", "std", "eval_crop")
"""What weights that others trained may tell of the images that they expect."""


@dataclass(frozen=True, kw_only=True)
class ImageFacts(Facts):
    """Of labelled images.

    Attributes:
        num_classes: how many classes, or values of each image, where it has values;
            `class_names[i]` is the name of label or value i.
        image_size: height and width in pixels.
        channels: 1 (grey), 3 (RGB), or the bands of arrays.
        mean: of the training pixels, per channel, on the scale 0 to 1; `std` likewise.
        eval_crop: share of the shorter side that is kept of an image that is evaluated.
        class_counts: training images of each class; empty where they are not known, or where
            images have values.
        value_range: the values that are black and white, of images with more than 8 bits; empty
            where all have 8.
    """

    num_classes: int
    class_names: list[str]
    image_size: int
    channels: int
    mean: list[float]
    std: list[float]
    eval_crop: float = 1.0
    class_counts: list[int] = field(default_factory=list)
    value_range: list[float] = field(default_factory=list)

    @property
    def span(self) -> tuple[float, float] | None:
        """`value_range`, where there is one."""
        return (self.value_range[0], self.value_range[1]) if self.value_range else None

    def for_model(self) -> dict[str, Any]:
        return {
            "num_classes": self.num_classes,
            "in_channels": self.channels,
            "image_size": self.image_size,
        }

    def for_export(self) -> dict[str, Any]:
        return {
            **{key: getattr(self, key) for key in WEIGHTS_KNOW},
            "classes": self.class_names,
            "interpolation": "bilinear",
            **({"value_range": self.value_range} if self.value_range else {}),
        }

    def describe_input(self) -> str:
        return f"{self.image_size} px"

    @classmethod
    def assumed(cls, model: Mapping[str, Any], data: Mapping[str, Any]) -> Self:
        return cls(**assumed_images(model, data))


def assumed_images(model: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `ImageFacts`, from the config alone."""
    classes = first_size("num_classes", model)
    return {
        "sizes": {"train": 1, "val": 1, "test": 1},
        "fingerprint": "",
        "num_classes": classes,
        "class_names": [str(i) for i in range(classes)],
        "class_counts": [1] * classes,
        "image_size": first_size("image_size", model, data),
        "channels": first_size("in_channels", model) or first_size("channels", data),
        "mean": [0.0],
        "std": [1.0],
    }
