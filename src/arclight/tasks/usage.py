"""Example code that uses an exported model without this project."""

from dataclasses import dataclass, field
from typing import Any

__all__ = ["LINES", "SOFTMAX", "HubUsage", "Usage"]

SOFTMAX = """

def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
"""
"""Code of a function that a `Usage` may need."""

LINES = 'for text in filter(str.strip, open(sys.argv[1], encoding="utf-8-sig")):\n'
"""Code that begins a loop over the lines of a file, without blank ones."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Example code that predicts on new inputs with an exported program (ONNX, torch_export).

    Attributes:
        asks: the arguments of the example, such as `IMAGE...`.
        imports: lines with further imports; `json`, `sys`, `np` and `Path` are always imported.
        packages: the packages that these lines need.
        code: reads `sys.argv` and prints a line of JSON for each input. It may call
            `model(**inputs)`, which takes arrays by name and returns a list of arrays, and read
            `known`, the texts stored in the exported file: `Facts.for_export` and `carries`.
        carries: plain values to store in the exported file, in addition to the facts.
    """

    asks: str
    code: str
    imports: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    carries: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class HubUsage(Usage):
    """Example code that predicts on new inputs with a folder (hf), whose path is `FOLDER`.

    Attributes:
        library: the library that opens the folder, by its name on the Hugging Face hub.
        pipeline: the model's task, by its name on the hub, such as `image-classification`.
        tags: further tags of the model on the hub.
    """

    library: str
    pipeline: str
    tags: tuple[str, ...] = ()
