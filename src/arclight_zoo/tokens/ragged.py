"""Texts of any length as tokens, and batches of them that are padded to the longest."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from arclight_zoo.reading.cache import cached
from arclight_zoo.reading.splits import Rows


@dataclass(frozen=True)
class Ragged:
    """Text i is `tokens[starts[i] : starts[i + 1]]`."""

    tokens: NDArray[np.int32]
    starts: Rows

    def __len__(self) -> int:
        return len(self.starts) - 1

    def take(self, rows: Rows) -> "Ragged":
        """These texts alone."""
        starts, ends = self.starts[rows], self.starts[rows + 1]
        pieces = [self.tokens[a:b] for a, b in zip(starts, ends, strict=True)]
        return ragged(np.concatenate([self.tokens[:0], *pieces]), ends - starts)

    def padded(self, indices: Tensor, fill: int) -> tuple[Tensor, Tensor]:
        """Tokens `(n, longest)`, filled up on the right, and where they are the texts' own."""
        rows = indices.numpy()
        starts, lengths = self.starts[rows], self.starts[rows + 1] - self.starts[rows]
        places = np.arange(lengths.max(initial=0))
        own = places < lengths[:, None]
        where = np.where(own, starts[:, None] + places, 0)
        tokens = np.where(own, self.tokens[where], fill).astype(np.int64)
        return torch.from_numpy(tokens), torch.from_numpy(own)

    def digest(self) -> bytes:
        """Of its content."""
        content = hashlib.sha256(np.ascontiguousarray(self.starts).data)
        content.update(np.ascontiguousarray(self.tokens).data)
        return content.digest()


def ragged(tokens: NDArray[np.int32], lengths: Rows) -> Ragged:
    """Texts of these lengths behind each other."""
    return Ragged(tokens, np.concatenate([[0], np.cumsum(lengths)]))


def encoded(
    tokenizer: Tokenizer, texts: Sequence[str], max_length: int, cache: Path, end: int | None = None
) -> Ragged:
    """The first `max_length` tokens of each text.

    Args:
        tokenizer: adds to each text what its model wants around it, which is never cut off.
        texts: any.
        max_length: tokens of a text, with what is added.
        cache: folder of token files.
        end: add this token alone, at the end; None: what the tokenizer adds.
    """
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length if end is None else max_length - 1)
    key = hashlib.sha256(f"{tokenizer.to_str()}|{end}".encode())
    for text in texts:
        key.update(hashlib.sha256(text.encode()).digest())

    def encode() -> NDArray[Any]:
        found = tokenizer.encode_batch(texts, add_special_tokens=end is None)
        last = [] if end is None else [end]
        ids = [[*one.ids, *last] for one in found]
        # one file: how many, their lengths, and the tokens behind each other
        flat = [token for one in ids for token in one]
        return np.array([len(ids), *map(len, ids), *flat], dtype=np.int32)

    array = cached(cache, f"ragged 2|{key.hexdigest()}", encode)
    count = int(array[0])
    return ragged(array[1 + count :], array[1 : 1 + count].astype(np.int64))


def token_of(tokenizer: Tokenizer, *names: str) -> int | None:
    """The number of the first of these tokens that the tokenizer has."""
    found = map(tokenizer.token_to_id, names)
    return next((token for token in found if token is not None), None)


def padding_of(tokenizer: Tokenizer) -> int:
    """The token that fills up texts; any does where there is none, since masks hide it."""
    return token_of(tokenizer, "<pad>", "[PAD]") or 0
