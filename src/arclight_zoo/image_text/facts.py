"""The facts about images with texts that a model needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from arclight.data.facts import first_size
from arclight_zoo.pixels.image_facts import ImageFacts, assumed_images
from arclight_zoo.tokens.text_facts import TextFacts, assumed_texts


@dataclass(frozen=True, kw_only=True)
class ImageTextFacts(ImageFacts, TextFacts):
    """Facts about images with one text each.

    `num_classes` is the number of classes of labelled data, or else of distinct texts; then
    `class_names` is empty, since they are too many.

    Attributes:
        start: the start token of texts.
        end: the end token of texts.
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
