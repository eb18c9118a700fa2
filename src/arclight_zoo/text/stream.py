"""A stream of tokens, cut into sequences: the data module of language modelling."""

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from arclight.data.module import require_counts
from arclight.data.order import EvalBatches, TrainBatches
from arclight.data.rows import RowLoader
from arclight.errors import UserError
from arclight.ranges import Count, Seed, Share
from arclight.seeds import mix
from arclight_zoo.reading.cache import cache_folder, cached, grown
from arclight_zoo.reading.division import Division
from arclight_zoo.text.token_files import (
    TRAIN_FILE,
    holds_token_files,
    kind_of,
    open_token_files,
)
from arclight_zoo.tokens import tokenizer as tokenizers
from arclight_zoo.tokens.corpus import Texts
from arclight_zoo.tokens.documents import open_documents
from arclight_zoo.tokens.ragged import IGNORED
from arclight_zoo.tokens.text_facts import TextFacts
from arclight_zoo.tokens.text_module import TextModule

_AT_ONCE = 4  # pieces that are encoded together
_HASHED = 2**22  # tokens per read for the fingerprint


class TextStream(TextModule):
    """Concatenated texts, in sequences of `context` tokens without padding.

    The tokens are in a memory-mapped file, so texts and tokens may exceed the memory.

    In training, each epoch shifts the sequences by a random offset, so every token is seen once
    per epoch, with a different context. In evaluation every token is predicted exactly once.

    A batch is (tokens, targets), both `(batch, context)`: the targets are the tokens that follow,
    and -100 where there is nothing to predict.

    Args:
        path: `python:stdlib`, a txt file, a csv, jsonl or parquet file, a folder of these, a
            Hugging Face hub id, or a folder of encoded tokens (`train.bin`, as in nanoGPT).
        text_column: of a table; None: `text`, or the only column.
        train_split: name of the split to train on; None: found by the usual names.
        val_split: name of the validation split; None: found by the usual names, or else
            `val_fraction` of the training text.
        test_split: name of the test split; None: found by the usual names, or else
            `test_fraction` of the training text.
        val_fraction: of a single text, its end (before the test part); of several, whole texts.
        test_fraction: of a single text, its end; of several, whole texts; 0: no test split.
        split_seed: of the random splits; independent of the run's seed.
        tokenizer: `characters`, `bpe` (byte-pair encoding, trained on the training text), or a
            published one: a local folder or file, or a hub id; None: unknown, for encoded tokens.
        vocab_size: tokens of `bpe`; a lower bound for published tokenizers and encoded tokens.
        sample_mb: train `bpe` on this many million characters from the beginning of the text.
        context: tokens of one sequence.
        batch_size: sequences per optimizer step, over all processes and accumulated batches.
        eval_batch_size: sequences per evaluation batch, over all processes; None: as in training.
        limit: use this many sequences of each split; None: all.
        cache: folder of token files; None: `$ARCLIGHT_CACHE` or `~/.cache/arclight`.
        seed: the run's seed, for order and offsets.
    """

    holds = "running text"

    def __init__(
        self,
        path: str,
        text_column: str | None = None,
        train_split: str | None = None,
        val_split: str | None = None,
        test_split: str | None = None,
        val_fraction: Share = 0.1,
        test_fraction: Share = 0.1,
        split_seed: Seed = 0,
        tokenizer: str | None = "bpe",
        vocab_size: Count = 1024,
        sample_mb: Count = 100,
        context: Count = 64,
        batch_size: Count = 32,
        eval_batch_size: Count | None = None,
        limit: Count | None = None,
        cache: str | None = None,
        seed: Seed = 0,
    ) -> None:
        super().__init__(path, batch_size, eval_batch_size, seed)
        require_counts(vocab_size=vocab_size, sample_mb=sample_mb, context=context, limit=limit)
        self.text_column = text_column
        self.division = Division(
            (train_split, val_split, test_split), (val_fraction, test_fraction), split_seed
        )
        self.limit = limit
        self.kind, self.vocab_size, self.context = tokenizer, vocab_size, context
        self.sample_mb = sample_mb
        self.cache = cache_folder(cache)

    def setup(self, stage: str | None = None) -> None:
        """Reads, splits and encodes the text; a second call does nothing."""
        if hasattr(self, "facts"):
            return
        if holds_token_files(self.path):
            self._open_token_files()
            per_token = {}
        else:
            per_token = self._encode_documents()
        for name, stream in self.streams.items():
            if self.limit is not None:
                self.streams[name] = stream[: (self.limit + 1) * self.context]
            if 0 < len(stream) < 2 * self.context or (name == "train" and not len(stream)):
                raise UserError(
                    f"The {name} text of {self.path} has {len(stream)} tokens, fewer than two "
                    f"sequences of data.context={self.context}: type a smaller data.context, or "
                    f"give it a larger fraction of the text."
                )
        known: Tokenizer | None = getattr(
            self, "tokenizer", None
        )  # may be unset with encoded tokens
        self.facts = TextFacts(
            sizes={name: self._count(name) for name in ("train", "val", "test")},
            fingerprint=self._fingerprint(known),
            vocab_size=self.vocab_size,
            context=self.context,
            pad=known.token_to_id(tokenizers.PAD) if known else None,
            bytes_per_token={} if self.limit else per_token,
        )

    def _encode_documents(self) -> dict[str, float]:
        """Makes tokenizer and streams; returns the bytes per token of validation and test."""
        if self.kind is None:
            raise UserError(
                f"data.tokenizer=null is for files of encoded tokens, but {self.path} has no "
                f"{TRAIN_FILE}: type data.tokenizer=bpe."
            )
        texts = open_documents(self.path, self.text_column, self.division, self.cache)
        train, most = texts["train"], self.sample_mb * 1_000_000
        every = self.kind == "characters"
        sample = (piece for piece, _ in train.pieces()) if every else train.sample(most)
        key = f"{train.key}|{None if every else most}"
        self.tokenizer = self.find_tokenizer(self.kind, sample, self.vocab_size, key)
        self.vocab_size = self._vocabulary()
        if any(found.count > 1 for found in texts.values()):
            warn_without_end(self.tokenizer, self.kind)
        self.streams = {s: encoded(self.tokenizer, texts[s], self.cache) for s in texts}
        self._keys = {stage: found.key for stage, found in texts.items()}
        return {
            stage: texts[stage].bytes(self.cache) / len(self.streams[stage])
            for stage in ("val", "test")
            if len(self.streams[stage])
        }

    def _vocabulary(self) -> int:
        """The size of the vocabulary; `vocab_size` may round it up for faster matrix products."""
        own: int = self.tokenizer.get_vocab_size()
        return own if self.kind in ("characters", "bpe") else max(own, self.vocab_size)

    def _open_token_files(self) -> None:
        """Maps the streams; the tokenizer is only needed for generation."""
        if self.kind in ("characters", "bpe"):
            raise UserError(
                f"{self.path} holds encoded tokens, on which no tokenizer can be trained: type "
                "data.tokenizer=NAME with the one that encoded them, or data.tokenizer=null."
            )
        if self.kind is not None:
            self.tokenizer = self.find_tokenizer(self.kind, [], self.vocab_size, self.kind)
            self.vocab_size = self._vocabulary()
        self.streams, self._keys = open_token_files(
            self.path, self.vocab_size, self.division.fractions, self.cache
        )

    def _fingerprint(self, tokenizer: Tokenizer | None) -> str:
        """The fingerprint of all tokens in use; cached, since it reads all of them."""

        def digest() -> NDArray[Any]:
            content = hashlib.sha256()
            for stream in self.streams.values():
                for start in range(0, len(stream), _HASHED):
                    content.update(np.ascontiguousarray(stream[start : start + _HASHED]).data)
            return np.frombuffer(content.digest(), dtype=np.uint8)

        name = hashlib.sha256(tokenizer.to_str().encode() if tokenizer else b"")
        sizes = [len(stream) for stream in self.streams.values()]
        key = f"fingerprint 2|{name.hexdigest()}|{self._keys}|{sizes}"
        return cached(self.cache, key, digest).tobytes().hex()

    def _count(self, stage: str) -> int:
        """The number of whole sequences for any offset; in evaluation, of all sequences."""
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
            # the last sequence begins earlier, and ignores tokens of the one before it
            again = torch.from_numpy(first - starts)[:, None] > torch.arange(self.context)
            return tokens, targets.masked_fill(again, IGNORED)

        return RowLoader(batches, make)

    def _sequences(self, stream: NDArray[Any], starts: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        rows = stream[starts[:, None] + np.arange(self.context + 1)]
        both = torch.from_numpy(rows.astype(np.int64))
        return both[:, :-1], both[:, 1:]


def warn_without_end(tokenizer: Tokenizer, kind: str) -> None:
    """Warns about a tokenizer without an end token."""
    if tokenizers.end_of(tokenizer) is None:
        rank_zero_warn(
            f"data.tokenizer={kind} has no end token ({', '.join(tokenizers.ENDS)}): texts are "
            "joined without a separator, and generation never stops by itself. data.tokenizer=bpe "
            "has one."
        )


def encoded(tokenizer: Tokenizer, texts: Texts, cache: Path) -> NDArray[Any]:
    """Encodes texts to one memory-mapped array of tokens; several texts each get an end token.

    Tokens have two bytes if the vocabulary allows it, otherwise four. Neither the texts nor the
    tokens need to fit into memory.
    """
    kind = kind_of(tokenizer.get_vocab_size())
    end = tokenizers.end_of(tokenizer) if texts.count > 1 else None
    name = hashlib.sha256(tokenizer.to_str().encode()).hexdigest()
    key = f"tokens 3|{name}|{texts.key}|{texts.count > 1}"
    return grown(cache, key, lambda: token_parts(tokenizer, texts, end, kind), kind)


def token_parts(
    tokenizer: Tokenizer, texts: Texts, end: int | None, kind: type[np.unsignedinteger[Any]]
) -> Iterator[NDArray[Any]]:
    """Yields the tokens of texts in arrays `(n,)`; each text is followed by `end`, if given."""
    closing = [np.array([] if end is None else [end], dtype=kind)]
    pieces = texts.pieces()
    while some := list(islice(pieces, _AT_ONCE)):
        found = tokenizer.encode_batch_fast([p for p, _ in some], add_special_tokens=False)
        for tokens, (_, last) in zip(found, some, strict=True):
            yield np.array(tokens.ids, dtype=kind)
            if last:
                yield from closing
