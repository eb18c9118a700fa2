"""Text as one stream of tokens, cut into sequences: the data module of language modelling."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from arclight.data.cache import cache_folder, cached
from arclight.data.facts import TextFacts
from arclight.data.module import require_counts, require_fractions
from arclight.data.order import EvalBatches, TrainBatches
from arclight.data.rows import RowLoader
from arclight.data.text import tokenizer as tokenizers
from arclight.data.text.documents import open_documents
from arclight.data.text.module import TextModule
from arclight.errors import UserError
from arclight.seeds import mix

IGNORED = -100  # a target that no loss is taken of: torch's own default
PIECE = 100_000  # characters that are encoded at once


class TextStream(TextModule):
    """Texts behind each other, in sequences of `context` tokens without padding.

    In training the cuts are shifted anew in each epoch, so that every token is seen once an epoch
    and each time with another past. In evaluation every token is predicted exactly once.

    A batch is (tokens, targets), both `(batch, context)`: the targets are the tokens that follow,
    and -100 where there is nothing to predict.

    Args:
        path: `python:stdlib`, a txt file, a csv, jsonl or parquet file, a folder of such, or a
            Hugging Face hub id.
        text_column: of a table; None: `text`, or the only column.
        train_split: the data's own split to train on; None: found among the usual names.
        val_split: likewise; None and none found: `val_fraction` of the training text.
        test_split: likewise, with `test_fraction`.
        val_fraction: of one text its end (before the test), of several texts whole ones.
        test_fraction: likewise; 0: nothing is tested.
        split_seed: decides which texts, independently of the run's seed.
        tokenizer: `characters`, `bpe` (byte-pair encoding, trained on the training text), or a
            published one: a local folder or file, or a hub id.
        vocab_size: tokens of `bpe`.
        context: tokens of one sequence.
        batch_size: sequences of one optimizer step, over all processes and accumulated batches.
        eval_batch_size: sequences of one evaluation batch over all processes; None: `batch_size`.
        limit: use so many sequences of each split; None: all.
        cache: folder of token files; None: `$ARCLIGHT_CACHE` or `~/.cache/arclight`.
        seed: the run's seed, for order and cuts.
    """

    def __init__(
        self,
        path: str,
        text_column: str | None = None,
        train_split: str | None = None,
        val_split: str | None = None,
        test_split: str | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        split_seed: int = 0,
        tokenizer: str = "bpe",
        vocab_size: int = 1024,
        context: int = 64,
        batch_size: int = 32,
        eval_batch_size: int | None = None,
        limit: int | None = None,
        cache: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(path, batch_size, eval_batch_size, seed)
        require_counts(vocab_size=vocab_size, context=context, limit=limit)
        require_fractions(val_fraction=val_fraction, test_fraction=test_fraction)
        self.text_column = text_column
        self.split_names = (train_split, val_split, test_split)
        self.fractions = (val_fraction, test_fraction)
        self.split_seed, self.limit = split_seed, limit
        self.kind, self.vocab_size, self.context = tokenizer, vocab_size, context
        self.cache = cache_folder(cache)

    def setup(self, stage: str | None = None) -> None:
        """Reads, divides and encodes the text; a second call does nothing."""
        if hasattr(self, "facts"):
            return
        texts = open_documents(
            self.path, self.text_column, self.split_names, self.fractions, self.split_seed
        )
        self.tokenizer = self.find_tokenizer(self.kind, texts["train"], self.vocab_size)
        self.streams = {stage: encoded(self.tokenizer, texts[stage], self.cache) for stage in texts}
        for name, stream in self.streams.items():
            if self.limit is not None:
                self.streams[name] = stream[: (self.limit + 1) * self.context]
            if 0 < len(stream) < 2 * self.context:
                raise UserError(
                    f"The {name} text of {self.path} has {len(stream)} tokens, fewer than two "
                    f"sequences of data.context={self.context}: type a smaller data.context, or "
                    f"give it a larger share of the text."
                )
        digest = hashlib.sha256()
        for stream in self.streams.values():
            digest.update(np.ascontiguousarray(stream).data)
        last = "test" if texts["test"] else "val"
        size = sum(len(text.encode()) for text in texts[last])
        self.facts = TextFacts(
            sizes={name: self._count(name) for name in ("train", "val", "test")},
            fingerprint=digest.hexdigest(),
            vocab_size=self.tokenizer.get_vocab_size(),
            context=self.context,
            pad=self.tokenizer.token_to_id(tokenizers.PAD),
            bytes_per_token=size / max(1, len(self.streams[last])) if not self.limit else None,
        )

    def _count(self, stage: str) -> int:
        """Whole sequences wherever the training cuts lie; in evaluation also the rest."""
        n = len(self.streams[stage])
        if stage == "train":
            return (n - self.context) // self.context
        return -(-(n - 1) // self.context) if n else 0

    def make_loader(
        self, stage: str, batches: TrainBatches | EvalBatches, device: torch.device
    ) -> RowLoader:
        stream = self.streams[stage]

        def make(indices: Tensor, epoch: int | None) -> tuple[Tensor, Tensor]:
            first = indices.numpy() * self.context
            if epoch is not None:
                return self._sequences(stream, first + mix("cut", self.seed, epoch) % self.context)
            starts = np.minimum(first, len(stream) - 1 - self.context)
            tokens, targets = self._sequences(stream, starts)
            # the last sequence begins earlier, among tokens that the one before it predicts
            again = torch.from_numpy(first - starts)[:, None] > torch.arange(self.context)
            return tokens, targets.masked_fill(again, IGNORED)

        return RowLoader(batches, make)

    def _sequences(self, stream: NDArray[Any], starts: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        rows = stream[starts[:, None] + np.arange(self.context + 1)]
        both = torch.from_numpy(rows.astype(np.int64))
        return both[:, :-1], both[:, 1:]


def encoded(tokenizer: Tokenizer, texts: list[str], cache: Path) -> NDArray[Any]:
    """Texts as one array of tokens, each of several followed by the end token; memory-mapped.

    Two bytes a token where the vocabulary allows it, else four.
    """
    key = hashlib.sha256(tokenizer.to_str().encode())
    for text in texts:
        key.update(hashlib.sha256(text.encode()).digest())
    kind = np.uint16 if tokenizer.get_vocab_size() <= 2**16 else np.uint32
    end = tokenizer.token_to_id(tokenizers.END) if len(texts) > 1 else None

    def encode() -> NDArray[Any]:
        pieces = []
        for text in texts:
            parts = tokenizer.encode_batch(cut(text, PIECE), add_special_tokens=False)
            pieces += [np.array(part.ids, dtype=kind) for part in parts]
            if end is not None:
                pieces.append(np.array([end], dtype=kind))
        return np.concatenate(pieces) if pieces else np.zeros(0, dtype=kind)

    return cached(cache, f"tokens 1|{key.hexdigest()}", encode)


def cut(text: str, size: int) -> list[str]:
    """Pieces of about so many characters, ended by a line's end where there is one."""
    pieces, start = [], 0
    while start < len(text):
        end = min(len(text), start + size)
        if end < len(text):
            end = text.rfind("\n", start, end) + 1 or end
        pieces.append(text[start:end])
        start = end
    return pieces
