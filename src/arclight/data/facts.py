"""What a model must know about the data before it is built."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The facts of a data set as a run uses it.

    Attributes:
        sizes: samples in "train", "val" and "test".
        fingerprint: SHA-256 over the samples of the three splits, as they are served; over what
            identifies them where they are too large for memory.
        skipped: samples left out because they cannot be read, by the source's splits
            (`data.on_error=skip`).
    """

    sizes: dict[str, int]
    fingerprint: str
    skipped: dict[str, int] = field(default_factory=dict)

    def for_model(self) -> dict[str, Any]:
        """What a model's constructor may need, under its parameters' names."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """Plain containers, as the manifest keeps them."""
        return {"kind": type(self).__name__, **dataclasses.asdict(self)}


@dataclass(frozen=True, kw_only=True)
class ImageFacts(Facts):
    """Of labelled images.

    Attributes:
        num_classes: how many classes; `class_names[i]` is the name of label i.
        image_size: height and width in pixels.
        channels: 1 (grey) or 3 (RGB).
        mean: of the training pixels, per channel, on the scale 0 to 1; `std` likewise.
        eval_crop: share of the shorter side that is kept of an image that is evaluated.
    """

    num_classes: int
    class_names: list[str]
    image_size: int
    channels: int
    mean: list[float]
    std: list[float]
    eval_crop: float = 1.0

    def for_model(self) -> dict[str, Any]:
        return {
            "num_classes": self.num_classes,
            "in_channels": self.channels,
            "image_size": self.image_size,
        }


@dataclass(frozen=True, kw_only=True)
class TextFacts(Facts):
    """Of text in tokens.

    Attributes:
        vocab_size: how many tokens there are.
        context: the most tokens of one sequence.
        pad: the token that fills up shorter sequences; None where there are none.
        class_names: of labelled text; empty where there are no labels.
        target_context: likewise of the targets, where a text is made of another.
        bytes_per_token: of the text of "val" and "test", in UTF-8: what makes losses of two
            tokenizers comparable; empty where it is not known.
    """

    vocab_size: int
    context: int
    pad: int | None = None
    class_names: list[str] = field(default_factory=list)
    target_context: int | None = None
    bytes_per_token: dict[str, float] = field(default_factory=dict)

    def for_model(self) -> dict[str, Any]:
        known = {"vocab_size": self.vocab_size, "context": self.context, "pad": self.pad}
        return {**known, "num_classes": len(self.class_names)} if self.class_names else known


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


KINDS: dict[str, type[Facts]] = {
    kind.__name__: kind for kind in (ImageFacts, TextFacts, ImageTextFacts)
}


def read_facts(plain: Mapping[str, Any]) -> Facts:
    """The facts that a manifest keeps."""
    kind, values = plain.get("kind", "ImageFacts"), {k: v for k, v in plain.items() if k != "kind"}
    return KINDS[kind](**values)
