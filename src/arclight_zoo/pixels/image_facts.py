"""The facts about labelled images that a model needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from arclight.data.facts import Facts, first_size

PREPROCESSING = ("image_size", "channels", "mean", "std", "eval_crop")
"""The fields that the preprocessing of pretrained weights can set."""


@dataclass(frozen=True, kw_only=True)
class ImageFacts(Facts):
    """Facts about labelled images.

    Attributes:
        num_classes: number of classes; for targets that are values, number of values per image.
        class_names: `class_names[i]` is the name of class or value i.
        image_size: height and width in pixels.
        channels: 1 (grey), 3 (RGB), or the bands of arrays.
        mean: of the training pixels, per channel, on the scale 0 to 1.
        std: of the training pixels, per channel, on the scale 0 to 1.
        eval_crop: fraction of the shorter side to keep in evaluation.
        class_counts: training images of each class; empty if unknown, or for values.
        value_range: the values for black and white, for images with more than 8 bits; empty if
            all images have 8.
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
        """`value_range` as a tuple; None if it is empty."""
        return (self.value_range[0], self.value_range[1]) if self.value_range else None

    def for_model(self) -> dict[str, Any]:
        return {
            "num_classes": self.num_classes,
            "in_channels": self.channels,
            "image_size": self.image_size,
        }

    def for_export(self) -> dict[str, Any]:
        return {
            **{key: getattr(self, key) for key in PREPROCESSING},
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
    """The fields of `ImageFacts`, as far as the config alone determines them."""
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
