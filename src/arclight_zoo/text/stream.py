"""Text as one stream of tokens, cut into sequences: the data module of language modelling."""

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

from arclight.data.module import require_counts, require_fractions
from arclight.data.order import EvalBatches, TrainBatches
from arclight.data.rows import RowLoader
from arclight.errors import UserError
from arclight.ranges import Count, Seed, Share
from arclight.seeds import mix
from arclight_zoo.reading.cache import cache_folder, cached, grown
from arclight_zoo.text.token_files import (
    TRAIN_FILE,
    holds_token_files,
    kind_of,
    open_token_files,
)
from arclight_zoo.tokens import tokenizer as tokenizers
from arclight_zoo.tokens.corpus import Texts
from arclight_zoo.tokens.documents import open_documents
from arclight_zoo.tokens.text_facts import TextFacts
from arclight_zoo.tokens.text_module import TextModule

IGNORED = -100  # a target that no loss is taken of: torch's own default
_AT_ONCE = 4  # pieces that are encoded together, and in memory with all that is known of them
_HASHED = 2**22  # tokens that are read at once for the fingerprint


class TextStream(TextModule):
    """Texts behind each other, in sequences of `context` tokens without padding.

    The tokens lie in a file that is mapped, not read: texts and tokens may exceed the memory.

    In training the cuts are shifted anew in each epoch, so that every token is seen once an epoch
    and each time with another past. In evaluation every token is predicted exactly once.

    A batch is (tokens, targets), both `(batch, context)`: the targets are the tokens that follow,
    and -100 where there is nothing to predict.

    Args:
        path: `python:stdlib`, a txt file, a csv, jsonl or parquet file, a folder of such, a
            Hugging Face hub id, or a folder of ready tokens (`train.bin`, as nanoGPT writes it).
        text_column: of a table; None: `text`, or the only column.
        train_split: the data's own split to train on; None: found among the usual names.
        val_split: likewise; None and none found: `val_fraction` of the training text.
        test_split: likewise, with `test_fraction`.
        val_fraction: of one text its end (before the test), of several texts whole ones.
        test_fraction: likewise; 0: nothing is tested.
        split_seed: decides which texts, independently of the run's seed.
        tokenizer: `characters`, `bpe` (byte-pair encoding, trained on the training text), or a
            published one: a local folder or file, or a hub id; None: of ready tokens, unknown.
        vocab_size: tokens of `bpe`; of a published tokenizer, or of ready tokens, at least.
        sample_mb: `bpe` is trained on so many million characters from the text's beginning.
        context: tokens of one sequence.
        batch_size: sequences of one optimizer step, over all processes and accumulated batches.
        eval_batch_size: sequences of one evaluation batch over all processes; None: as in training.
        limit: use so many sequences of each split; None: all.
        cache: folder of token files; None: `$ARCLIGHT_CACHE` or `~/.cache/arclight`.
        seed: the run's seed, for order and cuts.
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
        require_fractions(val_fraction=val_fraction, test_fraction=test_fraction)
        self.text_column = text_column
        self.split_names = (train_split, val_split, test_split)
        self.fractions = (val_fraction, test_fraction)
        self.split_seed, self.limit = split_seed, limit
        self.kind, self.vocab_size, self.context = tokenizer, vocab_size, context
        self.sample_mb = sample_mb
        self.cache = cache_folder(cache)

    def setup(self, stage: str | None = None) -> None:
        """Reads, divides and encodes the text; a second call does nothing."""
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
                    f"give it a larger share of the text."
                )
        known: Tokenizer | None = getattr(self, "tokenizer", None)  # not of every token file
        self.facts = TextFacts(
            sizes={name: self._count(name) for name in ("train", "val", "test")},
            fingerprint=self._fingerprint(known),
            vocab_size=self.vocab_size,
            context=self.context,
            pad=known.token_to_id(tokenizers.PAD) if known else None,
            bytes_per_token={} if self.limit else per_token,
        )

    def _encode_documents(self) -> dict[str, float]:
        """Makes tokenizer and streams; returns the bytes of a token in what is evaluated."""
        if self.kind is None:
            raise UserError(
                f"data.tokenizer=null is for ready token files, and {self.path} holds no "
                f"{TRAIN_FILE}: type data.tokenizer=bpe."
            )
        texts = open_documents(
            self.path, self.text_column, self.split_names, self.fractions, self.split_seed,
            self.cache,
        )  # fmt: skip
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
        """A published tokenizer's may be rounded up: matrix products are faster for it."""
        own: int = self.tokenizer.get_vocab_size()
        return own if self.kind in ("characters", "bpe") else max(own, self.vocab_size)

    def _open_token_files(self) -> None:
        """Maps the streams; the tokenizer is only for whoever generates text later."""
        if self.kind in ("characters", "bpe"):
            raise UserError(
                f"{self.path} holds tokens, which nothing can be trained on to read: type "
                "data.tokenizer=NAME with the one that made them, or data.tokenizer=null."
            )
        if self.kind is not None:
            self.tokenizer = self.find_tokenizer(self.kind, [], self.vocab_size, self.kind)
            self.vocab_size = self._vocabulary()
        self.streams, self._keys = open_token_files(
            self.path, self.vocab_size, self.fractions, self.cache
        )

    def _fingerprint(self, tokenizer: Tokenizer | None) -> str:
        """Of all tokens in use; found once, since that means reading them all."""

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


def warn_without_end(tokenizer: Tokenizer, kind: str) -> None:
    """Says of a tokenizer without an end token that texts will not be told apart."""
    if tokenizers.end_of(tokenizer) is None:
        rank_zero_warn(
            f"data.tokenizer={kind} has no token that ends a text ({', '.join(tokenizers.ENDS)}): "
            "each text follows the one before it with nothing between, and what is generated never "
            "stops by itself. data.tokenizer=bpe has one."
        )


def encoded(tokenizer: Tokenizer, texts: Texts, cache: Path) -> NDArray[Any]:
    """Texts as one array of tokens, each of several followed by the end token; memory-mapped.

    Two bytes a token where the vocabulary allows it, else four. Neither the texts nor the tokens
    are ever in memory as a whole.
    """
    kind = kind_of(tokenizer.get_vocab_size())
    end = tokenizers.end_of(tokenizer) if texts.count > 1 else None
    name = hashlib.sha256(tokenizer.to_str().encode()).hexdigest()
    key = f"tokens 3|{name}|{texts.key}|{texts.count > 1}"
    return grown(cache, key, lambda: token_parts(tokenizer, texts, end, kind), kind)


def token_parts(
    tokenizer: Tokenizer, texts: Texts, end: int | None, kind: type[np.unsignedinteger[Any]]
) -> Iterator[NDArray[Any]]:
    """The tokens of texts in arrays `(n,)` of this kind, each text followed by `end`, if any."""
    closing = [np.array([] if end is None else [end], dtype=kind)]
    pieces = texts.pieces()
    while some := list(islice(pieces, _AT_ONCE)):
        found = tokenizer.encode_batch_fast([p for p, _ in some], add_special_tokens=False)
        for tokens, (_, last) in zip(found, some, strict=True):
            yield np.array(tokens.ids, dtype=kind)
            if last:
                yield from closing
