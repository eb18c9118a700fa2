"""Text shards that are read and encoded during training, for text larger than the disk."""

import hashlib
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from arclight.data.module import require_counts
from arclight.data.order import EvalBatches, TrainBatches
from arclight.data.rows import RowLoader
from arclight.data.windows import LANES, within_windows
from arclight.errors import UserError
from arclight.ranges import Count, Positive, Share
from arclight.seeds import mix
from arclight_zoo.reading.splits import Rows, choose_splits
from arclight_zoo.text.blocks import Shards, open_shards
from arclight_zoo.text.stream import TextStream, encoded, token_parts, warn_without_end
from arclight_zoo.text.token_files import kind_of
from arclight_zoo.tokens import tokenizer as tokenizers
from arclight_zoo.tokens.corpus import of_list
from arclight_zoo.tokens.text_facts import TextFacts

_MEASURED = 8  # blocks to estimate the tokens per byte
_AHEAD = 100  # batches to encode ahead
_THREADS = 2  # for encoding


class TextShards(TextStream):
    """Local or remote parquet, jsonl or txt shards, encoded during training.

    The number of sequences of a block (a few MB of a shard) is estimated from its bytes, with the
    tokens per byte of a few blocks. In each epoch these sequences start at another offset of the
    block's tokens, so some tokens are skipped in an epoch, or seen twice. In return, any sequence
    can be made from its index alone: order, resuming and distribution over processes work as for
    other data. Validation and test text are encoded once, as in `TextStream`.

    A batch is (tokens, targets), both `(batch, context)`.

    Args:
        path: a folder of shards, or a Hugging Face hub id with shards: `ORG/NAME`,
            `ORG/NAME:SUBSET`, `ORG/NAME:SUBSET@REVISION`.
        text_column: of parquet and jsonl; None: `text`, `content` or `sentence`.
        train_split: name of the split to train on; None: found by the usual names.
        val_split: name of the validation split; None: found by the usual names, or else
            `val_fraction` of the training blocks.
        test_split: name of the test split; None: found by the usual names, or else
            `test_fraction` of the training blocks.
        val_fraction: of the blocks; at least one block.
        test_fraction: of the blocks, at least one block; 0: no test split.
        split_seed: of the random splits.
        tokenizer: `bpe`, trained on blocks of the training text, or a published one.
        vocab_size: tokens of `bpe`; a lower bound for published tokenizers. None: 32,768, or the
            published size.
        sample_mb: train `bpe` on this many million characters.
        context: tokens of one sequence.
        block_mb: size of a block; parquet row groups are never split.
        shuffle_window: shuffle this many blocks together. An epoch is read at 8 places in
            parallel, and each keeps this many blocks in memory.
        batch_size: sequences per optimizer step, over all processes and accumulated batches.
        eval_batch_size: sequences per evaluation batch, over all processes; None: as in training.
        limit: use this many sequences of each split; None: all.
        cache: folder of token files; None: `$ARCLIGHT_CACHE` or `~/.cache/arclight`.
        seed: the run's seed, for order and offsets.
    """

    def __init__(
        self,
        path: str,
        val_fraction: Share = 0.01,
        test_fraction: Share = 0.0,
        tokenizer: str = "bpe",
        vocab_size: Count | None = None,
        context: Count = 1024,
        block_mb: Positive = 4.0,
        shuffle_window: Count = 4,
        **stream: Any,
    ) -> None:
        super().__init__(
            path,
            val_fraction=val_fraction,
            test_fraction=test_fraction,
            tokenizer=tokenizer,
            vocab_size=vocab_size or (32768 if tokenizer == "bpe" else 1),
            context=context,
            **stream,
        )
        require_counts(shuffle_window=shuffle_window)
        if not block_mb > 0:
            raise UserError(f"data.block_mb={block_mb} should be more than 0.")
        if tokenizer == "characters":
            raise UserError(
                "data.tokenizer=characters would have to read all shards first: type "
                "data.tokenizer=bpe, or data=text_file."
            )
        self.made_by, self.window = tokenizer, shuffle_window
        self.block_bytes = round(block_mb * 1e6)

    def setup(self, stage: str | None = None) -> None:
        """Finds the blocks and the tokenizer, and encodes validation and test text.

        A second call does nothing.
        """
        if hasattr(self, "facts"):
            return
        shards, blocks = self._divide()
        train, chosen = shards["train"], blocks["train"]
        rng = np.random.Generator(np.random.Philox(key=mix("sample", self.split_seed)))
        spread = train.texts(rng.permutation(chosen))
        most = self.sample_mb * 1_000_000
        key = f"{spread.key}|{most}"
        sample = spread.sample(most)
        self.tokenizer = self.find_tokenizer(self.made_by, sample, self.vocab_size, key)
        if train.column is not None:
            warn_without_end(self.tokenizer, self.made_by)
        self.streams, self._keys = {}, {"train": train.texts(chosen).key}
        per_token = {}
        for name in ("val", "test"):
            texts = shards[name].texts(blocks[name]) if name in blocks else of_list([])
            self.streams[name] = encoded(self.tokenizer, texts, self.cache)
            self._keys[name] = texts.key
            if self.limit is not None:
                self.streams[name] = self.streams[name][: (self.limit + 1) * self.context]
            elif texts.count:
                per_token[name] = texts.bytes(self.cache) / max(1, len(self.streams[name]))
        self.blocks = Blocks(train, chosen, self.tokenizer, self.context, self.limit)
        sizes = {"train": len(self.blocks.of_sequence), "val": self._count("val")}
        evaluated = self._fingerprint(self.tokenizer)
        self.facts = TextFacts(
            sizes={**sizes, "test": self._count("test")},
            fingerprint=hashlib.sha256(f"{evaluated}|{train.content}".encode()).hexdigest(),
            vocab_size=self._vocabulary(),
            context=self.context,
            pad=self.tokenizer.token_to_id(tokenizers.PAD),
            bytes_per_token=per_token,
        )

    def _divide(self) -> tuple[dict[str, Shards], dict[str, Rows]]:
        """The shards of each stage, and the blocks to use."""
        from arclight_zoo.reading.hub import split_files

        place = Path(self.path).expanduser()
        files = split_files(self.path, place if place.exists() else None)
        names = dict(
            zip(("train", "val", "test"), choose_splits(files, *self.split_names), strict=True)
        )
        shards = {
            stage: open_shards(
                self.path, *files[name], self.text_column, self.block_bytes, self.cache
            )
            for stage, name in names.items()
            if name is not None
        }
        blocks = {stage: np.arange(len(found.blocks)) for stage, found in shards.items()}
        rng = np.random.Generator(np.random.Philox(key=mix("blocks", self.split_seed)))
        rest = rng.permutation(blocks["train"])
        for stage, fraction in zip(("val", "test"), self.fractions, strict=True):
            if stage not in blocks and fraction:
                count = max(1, round(fraction * len(blocks["train"])))
                blocks[stage], rest = np.sort(rest[:count]), rest[count:]
                shards[stage] = shards["train"]
        if not len(rest):
            raise UserError(
                f"{self.path} has {len(blocks['train'])} blocks of data.block_mb="
                f"{self.block_bytes / 1e6:g}, too few to hold some out: type a smaller "
                "data.block_mb (parquet row groups are never split), or data.val_fraction=0."
            )
        return shards, {**blocks, "train": np.sort(rest)}

    def make_loader(
        self, stage: str, batches: TrainBatches | EvalBatches, device: torch.device
    ) -> RowLoader:
        if isinstance(batches, EvalBatches):
            return super().make_loader(stage, batches, device)
        within_windows(batches, self.blocks.of_sequence, self.window)
        lanes = max(1, gcd(batches.batch_size, LANES) // batches.world)
        return BlockLoader(batches, self.blocks, 2 * self.window * lanes)


class Blocks:
    """Encodes blocks, and cuts them into their estimated numbers of sequences.

    Attributes:
        of_sequence: `(n,)`, the block of each sequence.
    """

    def __init__(
        self, shards: Shards, chosen: Rows, tokenizer: Tokenizer, context: int, limit: int | None
    ) -> None:
        self.shards, self.chosen, self.context = shards, chosen, context
        self.tokenizer = tokenizer
        self.kind = kind_of(tokenizer.get_vocab_size())
        self.end = None if shards.column is None else tokenizers.end_of(tokenizer)
        measured = np.unique(np.linspace(0, len(chosen) - 1, _MEASURED).astype(int))
        tokens = sum(len(self.encode(int(i))) for i in measured)
        sizes = shards.blocks["size"][chosen].astype(float)
        promised = sizes * (tokens / sizes[measured].sum()) / context
        self.counts = np.maximum(1, promised.astype(np.int64))
        self.first = np.cumsum(self.counts) - self.counts
        self.of_sequence = np.repeat(np.arange(len(chosen), dtype=np.int32), self.counts)[:limit]

    def encode(self, block: int) -> NDArray[Any]:
        """All tokens of a block."""
        texts = self.shards.texts(self.chosen[block : block + 1])
        parts = list(token_parts(self.tokenizer, texts, self.end, self.kind))
        return np.concatenate(parts) if parts else np.zeros(0, dtype=self.kind)

    def sequences(
        self, block: int, tokens: NDArray[Any], numbers: Rows, key: int
    ) -> NDArray[np.int64]:
        """Sequences of a block, each with the next token: `(n, context + 1)`.

        Args:
            block: index of the block.
            tokens: all tokens of the block.
            numbers: indices of the sequences, `(n,)`.
            key: of the random offset.
        """
        spare = len(tokens) - int(self.counts[block]) * self.context - 1
        start = key % (spare + 1) if spare > 0 else 0
        own = numbers - self.first[block]
        places = start + own[:, None] * self.context + np.arange(self.context + 1)
        if not len(tokens):  # no line begins in this block: a line is longer than a block
            return np.full(places.shape, self.end or 0)
        rows: NDArray[np.int64] = tokens[places % len(tokens)].astype(np.int64)
        return rows


def _has_tokens(block: Future[NDArray[Any]]) -> bool:
    return block.done() and not block.cancelled() and block.exception() is None


class BlockLoader(RowLoader):
    """Batches of sequences from blocks that threads encode ahead.

    Args:
        batches: indices of the sequences.
        blocks: that contain them.
        kept: blocks to keep in memory; at least those of one batch.
    """

    def __init__(self, batches: TrainBatches, blocks: Blocks, kept: int) -> None:
        self.blocks, self.kept = blocks, kept
        self.encoded: OrderedDict[int, Future[NDArray[Any]]] = OrderedDict()
        self.ahead: Counter[int] = Counter()  # blocks of upcoming batches
        super().__init__(batches, self._batch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        assert isinstance(self.batches, TrainBatches)
        epoch, start = self.batches.where()
        waiting: deque[tuple[Tensor, list[int]]] = deque()
        self.ahead.clear()
        self.threads = ThreadPoolExecutor(_THREADS)
        try:
            for indices in self.batches.of_epoch(epoch, start):
                blocks = self._which(indices)
                while waiting and (
                    len(waiting) > _AHEAD or len(self.ahead.keys() | blocks) > self.kept
                ):
                    yield self._next(waiting, epoch)
                self.ahead.update(blocks)
                waiting.append((indices, blocks))
                for block in blocks:
                    self._wanted(block)
            while waiting:
                yield self._next(waiting, epoch)
        finally:
            self.threads.shutdown(cancel_futures=True)
            self.encoded = OrderedDict((b, f) for b, f in self.encoded.items() if _has_tokens(f))

    def _next(self, waiting: deque[tuple[Tensor, list[int]]], epoch: int) -> tuple[Tensor, Tensor]:
        indices, blocks = waiting.popleft()
        batch = self._batch(indices, epoch)
        self.ahead.subtract(blocks)
        self.ahead = +self.ahead
        return batch

    def _which(self, indices: Tensor) -> list[int]:
        which: list[int] = np.unique(self.blocks.of_sequence[indices.numpy()]).tolist()
        return which

    def _wanted(self, block: int) -> Future[NDArray[Any]]:
        if block not in self.encoded:
            self.encoded[block] = self.threads.submit(self.blocks.encode, block)
            useless = [b for b in self.encoded if b not in self.ahead and b != block]
            for oldest in useless[: max(0, len(self.encoded) - self.kept)]:
                del self.encoded[oldest]
        self.encoded.move_to_end(block)
        return self.encoded[block]

    def _batch(self, indices: Tensor, epoch: int | None) -> tuple[Tensor, Tensor]:
        assert isinstance(self.batches, TrainBatches)
        numbers = indices.numpy()
        which = self.blocks.of_sequence[numbers]
        rows = np.empty((len(numbers), self.blocks.context + 1), dtype=np.int64)
        for block in np.unique(which).tolist():
            tokens, here = self._wanted(block).result(), which == block
            key = mix("cut", self.batches.seed, epoch or 0, block)
            rows[here] = self.blocks.sequences(block, tokens, numbers[here], key)
        both = torch.from_numpy(rows)
        return both[:, :-1], both[:, 1:]
