"""Texts to predict on, or to export with."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from arclight.errors import UserError
from arclight.tasks.question import Question, Rows
from arclight_zoo.tokens import tokenizer as tokenizers
from arclight_zoo.tokens.ragged import padding_of

BATCH = 256


def text_batches(
    question: Question, tokenizer: Tokenizer, length: int, device: torch.device
) -> Iterator[tuple[list[str], Tensor, Tensor]]:
    """Yields lines, their tokens and masks (False: padding), both `(batch, longest)`.

    Raises:
        UserError: there is no text.
    """
    lines = text_lines(question)
    for start in range(0, len(lines), BATCH):
        part = lines[start : start + BATCH]
        yield part, *encode(tokenizer, part, length, device)


def text_lines(question: Question) -> list[str]:
    """The lines of a file that are not blank; blank ones are noted in the question.

    Raises:
        UserError: it is not a text file, or has no text.
    """
    place = question.place
    if not place.is_file():
        raise UserError(f"input={place} is a folder: type input=FILE with one text per line.")
    try:
        content = place.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{place} is not text in UTF-8 ({error.reason}): convert it, for example with iconv -f "
            "latin1 -t utf-8."
        ) from error
    every = content.removesuffix("\n").split("\n")
    question.gaps = {number: line for number, line in enumerate(every) if not line.strip()}
    lines = [line for line in every if line.strip()]
    if not lines:
        raise UserError(f"input={place} holds no text: type input=FILE with one text per line.")
    return lines


def kept_tokenizer(folder: Path, frame: bool = True) -> Tokenizer:
    """The tokenizer of a run.

    Args:
        folder: the run's directory.
        frame: add start and end tokens, as in training.

    Raises:
        UserError: its file is missing.
    """
    kept = tokenizers.load(folder)
    if kept is None:
        raise UserError(f"{folder} has no {tokenizers.FILE}: put it back.")
    return tokenizers.framed(kept) if frame else kept


def encode(
    tokenizer: Tokenizer, texts: list[str], length: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Tokens and their mask (False: padding), both `(batch, longest)`."""
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(pad_id=padding_of(tokenizer))
    found = tokenizer.encode_batch(texts)
    tokens = torch.tensor([one.ids for one in found], device=device)
    own = [one.attention_mask for one in found]
    return tokens, torch.tensor(own, dtype=torch.bool, device=device)


def decode(tokenizer: Tokenizer, made: Tensor, end: int | None) -> list[str]:
    """Decodes tokens `(batch, length)`, each row up to its end token."""
    rows = [row[: row.index(end)] if end in row else row for row in made.tolist()]
    return [str(text) for text in tokenizer.decode_batch(rows)]


def answer_rows(names: Sequence[str], answers: Sequence[str]) -> Rows:
    """Rows of names and answers."""
    return [[name, answer] for name, answer in zip(names, answers, strict=True)]


def random_tokens(vocab_size: int, examples: int, length: int, draw: torch.Generator) -> Tensor:
    """`(examples, length)`."""
    return torch.randint(vocab_size, (examples, length), generator=draw)


def random_mask(examples: int, length: int, draw: torch.Generator) -> Tensor:
    """Masks of random lengths, at least one token, with padding at the right."""
    lengths = torch.randint(1, length + 1, (examples, 1), generator=draw)
    return torch.arange(length) < lengths
