"""Code that tokenises the lines of a file, for the examples of exported models."""

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from arclight_zoo.tokens import tokenizer as tokenizers
from arclight_zoo.tokens.questions import kept_tokenizer
from arclight_zoo.tokens.ragged import padding_of

IMPORTS = ("from tokenizers import Tokenizer",)
PACKAGES = ("tokenizers",)

TOKENIZER = """
tokenizer = Tokenizer.from_str(known["tokenizer"])  # cuts texts to what the model takes
tokenizer.encode_special_tokens = True  # what looks like a special token in a text is text
"""
"""Code that defines `tokenizer`."""


def carried_tokenizer(
    run: Path, length: int | None = None, *, frame: bool = True, fill: bool = True
) -> tuple[dict[str, Any], Tokenizer]:
    """The constants of an example program for a run's tokenizer, and the tokenizer.

    Args:
        run: the run's directory.
        length: maximum tokens of a text; None: no limit.
        frame: add start and end tokens, as in training.
        fill: pad shorter texts to the length.
    """
    tokenizer = kept_tokenizer(run, frame)
    if length:
        tokenizer.enable_truncation(length)
        if fill:
            tokenizer.enable_padding(pad_id=padding_of(tokenizer), length=length)
    return {"tokenizer": tokenizer.to_str()}, tokenizer


def end_token(tokenizer: Tokenizer) -> int:
    """The end token; -1 if there is none."""
    end = tokenizers.end_of(tokenizer)
    return -1 if end is None else end
