"""What a model must know about images with texts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from arclight.data.facts import first_size
from arclight_zoo.pixels.image_facts import ImageFacts, assumed_images
from arclight_zoo.tokens.text_facts import TextFacts, assumed_texts


@dataclass(frozen=True, kw_only=True)
class ImageTextFacts(ImageFacts, TextFacts):
    """Of images with a text each.

    `num_classes` counts the classes of a labelled set, or else the different texts, which are too
    many to be named: `class_names` is then empty.

    Attributes:
        start: the token that a text begins with.
        end: the token that closes it.
    """

    start: int
    end: int

    def for_model(self) -> dict[str, Any]:
        frame = {"start": self.start, "end": self.end}
        return TextFacts.for_model(self) | ImageFacts.for_model(self) | frame

    def describe_input(self) -> str:
        return f"{ImageFacts.describe_input(self)}, {TextFacts.describe_input(self)}"

    @classmethod
    def assumed(cls, model: Mapping[str, Any], data: Mapping[str, Any]) -> Self:
        fields = assumed_texts(model, data) | assumed_images(model, data)
        fields |= {"num_classes": 1, "class_names": [], "class_counts": []}
        return cls(**fields, start=first_size("start", model), end=first_size("end", model))
