"""Blocks of text shards, encoded ahead by threads during training."""

from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from arclight.data.order import TrainBatches
from arclight.data.rows import RowLoader
from arclight.seeds import mix
from arclight_zoo.reading.splits import Rows
from arclight_zoo.text.blocks import Shards
from arclight_zoo.text.stream import token_parts
from arclight_zoo.text.token_files import kind_of
from arclight_zoo.tokens import tokenizer as tokenizers

_MEASURED = 8  # blocks to estimate the tokens per byte


_AHEAD = 100  # batches to encode ahead


_THREADS = 2  # for encoding


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
