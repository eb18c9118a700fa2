"""Store encoded texts of different lengths, and pad batches of them."""

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

IGNORED = -100  # target to ignore, as in torch's cross-entropy


@dataclass(frozen=True)
class Ragged:
    """Text i is `tokens[starts[i] : starts[i + 1]]`."""

    tokens: NDArray[np.int32]
    starts: Rows

    def __len__(self) -> int:
        return len(self.starts) - 1

    def take(self, rows: Rows) -> "Ragged":
        """A subset of the texts."""
        starts, ends = self.starts[rows], self.starts[rows + 1]
        pieces = [self.tokens[a:b] for a, b in zip(starts, ends, strict=True)]
        return ragged(np.concatenate([self.tokens[:0], *pieces]), ends - starts)

    def padded(self, indices: Tensor, fill: int) -> tuple[Tensor, Tensor]:
        """Tokens padded at the right, and their mask (False: padding), both `(n, longest)`."""
        rows = indices.numpy()
        starts, lengths = self.starts[rows], self.starts[rows + 1] - self.starts[rows]
        places = np.arange(lengths.max(initial=0))
        own = places < lengths[:, None]
        where = np.where(own, starts[:, None] + places, 0)
        tokens = np.where(own, self.tokens[where], fill).astype(np.int64)
        return torch.from_numpy(tokens), torch.from_numpy(own)

    def digest(self) -> bytes:
        """A digest of tokens and lengths."""
        content = hashlib.sha256(np.ascontiguousarray(self.starts).data)
        content.update(np.ascontiguousarray(self.tokens).data)
        return content.digest()


def ragged(tokens: NDArray[np.int32], lengths: Rows) -> Ragged:
    """Splits concatenated tokens into texts of these lengths."""
    return Ragged(tokens, np.concatenate([[0], np.cumsum(lengths)]))


def encoded(
    tokenizer: Tokenizer, texts: Sequence[str], max_length: int, cache: Path, end: int | None = None
) -> Ragged:
    """Encodes texts, and truncates each to `max_length` tokens.

    Args:
        tokenizer: may add special tokens, which are never cut off.
        texts: to encode.
        max_length: maximum tokens of a text, with special tokens.
        cache: folder of token files.
        end: add only this token, at the end; None: the tokenizer's special tokens.
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
        # in one file: the number of texts, their lengths, and all tokens
        flat = [token for one in ids for token in one]
        return np.array([len(ids), *map(len, ids), *flat], dtype=np.int32)

    array = cached(cache, f"ragged 2|{key.hexdigest()}", encode)
    count = int(array[0])
    return ragged(array[1 + count :], array[1 : 1 + count].astype(np.int64))


def token_of(tokenizer: Tokenizer, *names: str) -> int | None:
    """The id of the first of these tokens that the tokenizer has; None without one."""
    found = map(tokenizer.token_to_id, names)
    return next((token for token in found if token is not None), None)


def padding_of(tokenizer: Tokenizer) -> int:
    """The padding token; if there is none, any token, since masks hide it."""
    return token_of(tokenizer, "<pad>", "[PAD]") or 0
