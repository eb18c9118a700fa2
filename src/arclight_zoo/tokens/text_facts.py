"""The facts about text that a model needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from arclight.data.facts import Facts, first_size


@dataclass(frozen=True, kw_only=True)
class TextFacts(Facts):
    """Facts about tokenised text.

    Attributes:
        vocab_size: size of the vocabulary.
        context: maximum number of tokens per sequence.
        pad: the padding token; None where there are none.
        class_names: of labelled text; empty without labels.
        class_counts: training texts of each class; empty if unknown.
        target_context: maximum number of tokens per target, for sequence to sequence.
        bytes_per_token: UTF-8 bytes per token of "val" and "test", to compare losses of different
            tokenizers; empty if unknown.
    """

    vocab_size: int
    context: int
    pad: int | None = None
    class_names: list[str] = field(default_factory=list)
    class_counts: list[int] = field(default_factory=list)
    target_context: int | None = None
    bytes_per_token: dict[str, float] = field(default_factory=dict)

    def for_model(self) -> dict[str, Any]:
        known = {"vocab_size": self.vocab_size, "context": self.context, "pad": self.pad}
        return {**known, "num_classes": len(self.class_names)} if self.class_names else known

    def for_export(self) -> dict[str, Any]:
        return {"classes": self.class_names}

    def describe_input(self) -> str:
        target = f" + {self.target_context}" if self.target_context else ""
        return f"{self.context}{target} tokens"

    @classmethod
    def assumed(cls, model: Mapping[str, Any], data: Mapping[str, Any]) -> Self:
        names = [str(i) for i in range(first_size("num_classes", model))]
        return cls(**assumed_texts(model, data), class_names=names, class_counts=[1] * len(names))


def assumed_texts(model: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `TextFacts`, as far as the config alone determines them."""
    return {
        "sizes": {"train": 1, "val": 1, "test": 1},
        "fingerprint": "",
        "vocab_size": first_size("vocab_size", model),
        "context": first_size("context", model, data) or first_size("max_length", data),
        "pad": first_size("pad", model),
        "target_context": first_size("max_target_length", data) or None,
    }
