"""Export a run's tokenizer in the format of transformers."""

import json
from pathlib import Path
from typing import Any

from arclight.files import write_json
from arclight_zoo.tokens import tokenizer as tokenizers

_WRITERS = ("LM", "ConditionalGeneration")  # parts of the names of classes that generate text


def write_tokenizer(
    run: Path, folder: Path, longest: int, frame: bool = True, literal: bool = True
) -> None:
    """Writes the run's tokenizer, if it has one, beside an exported model.

    A model that generates text also gets the end token, at which it stops.

    Args:
        run: the run's directory.
        folder: of the exported model.
        longest: maximum tokens of a text with start and end tokens, for `truncation=True`.
        frame: add start and end tokens to each text, as in training.
        literal: treat special tokens in texts as plain text.
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
    fast(
        tokenizer_object=tokenizer,
        model_max_length=longest,
        model_input_names=["input_ids", "attention_mask"],
        split_special_tokens=literal,
        clean_up_tokenization_spaces=False,
        **known,
    ).save_pretrained(folder)
    if end is not None:
        _tell_end(folder, end)


def _tell_end(folder: Path, end: int) -> None:
    for name in ("config.json", "generation_config.json"):
        file = folder / name
        known = json.loads(file.read_text()) if file.is_file() else {}
        kind = (known.get("architectures") or ["LM"])[0]
        if known and known.get("eos_token_id") is None and any(word in kind for word in _WRITERS):
            write_json(file, {**known, "eos_token_id": end})
