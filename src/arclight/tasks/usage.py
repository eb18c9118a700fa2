"""How an exported model is used where this project is not installed."""

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
"""Code that begins a loop over the texts of a file, one in each line; blank ones are left out."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Code of an example that answers new inputs with an exported program (ONNX, torch_export).

    Attributes:
        asks: what is typed behind the name of the example, such as `IMAGE...`.
        imports: lines that import what the code needs beside `json`, `sys`, `np` and `Path`.
        packages: what has to be installed for these lines.
        code: reads `sys.argv` and prints a line of JSON for each input. It may call
            `model(**inputs)`, which takes arrays by name and returns a list of arrays, and read
            `known`, the texts that the exported file carries: `Facts.for_export` and `carries`.
        carries: what the exported file has to carry for it beside the facts, in plain values.
    """

    asks: str
    code: str
    imports: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    carries: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class HubUsage(Usage):
    """Code of an example that answers new inputs with a folder (hf), which it knows as `FOLDER`.

    Attributes:
        library: that opens the folder, as the Hugging Face hub names it.
        pipeline: the hub's name of what the model does, such as `image-classification`.
        tags: further words by which the model is found.
    """

    library: str
    pipeline: str
    tags: tuple[str, ...] = ()
