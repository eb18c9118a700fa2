"""A run's tokenizer, as transformers reads it."""

from pathlib import Path
from typing import Any

from arclight_zoo.tokens import tokenizer as tokenizers


def write_tokenizer(run: Path, folder: Path, frame: bool = True) -> None:
    """Writes the run's tokenizer beside an exported model; a run without one has none to write.

    Args:
        run: the run's directory.
        folder: of the exported model.
        frame: put a start and an end around each text, as training did.
    """
    from transformers import PreTrainedTokenizerFast

    tokenizer = tokenizers.load(run)
    if tokenizer is None:
        return
    if frame:
        tokenizer = tokenizers.framed(tokenizer)
    names = {
        "pad_token": tokenizers.PAD,
        "unk_token": tokenizers.UNKNOWN,
        "bos_token": tokenizers.START,
        "mask_token": tokenizers.MASK,
    }
    known = {k: v for k, v in names.items() if tokenizer.token_to_id(v) is not None}
    end = tokenizers.end_of(tokenizer)
    if end is not None:
        known["eos_token"] = str(tokenizer.id_to_token(end))
    fast: Any = PreTrainedTokenizerFast
    fast(tokenizer_object=tokenizer, **known).save_pretrained(folder)
