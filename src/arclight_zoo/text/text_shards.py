"""Text shards that are read and encoded during training, for text larger than the disk."""

import hashlib
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import torch

from arclight.data.module import require_counts
from arclight.data.order import EvalBatches, TrainBatches
from arclight.data.rows import RowLoader
from arclight.data.windows import LANES, within_windows
from arclight.errors import UserError
from arclight.ranges import Count, Positive, Share
from arclight.seeds import mix
from arclight_zoo.reading.division import STAGES
from arclight_zoo.reading.splits import Rows
from arclight_zoo.text.block_loader import BlockLoader, Blocks
from arclight_zoo.text.blocks import Shards, open_shards
from arclight_zoo.text.stream import TextStream, encoded, warn_without_end
from arclight_zoo.tokens import tokenizer as tokenizers
from arclight_zoo.tokens.corpus import of_list
from arclight_zoo.tokens.text_facts import TextFacts


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
        val_fraction: of the blocks; at least one block.
        test_fraction: of the blocks, at least one block; 0: no test split.
        tokenizer: `bpe`, trained on blocks of the training text, or a published one.
        vocab_size: tokens of `bpe`; a lower bound for published tokenizers. None: 32,768, or the
            published size.
        context: tokens of one sequence.
        block_mb: size of a block; parquet row groups are never split.
        shuffle_window: shuffle this many blocks together. An epoch is read at 8 places in
            parallel, and each keeps this many blocks in memory.
        stream: further arguments of `TextStream`; a split is taken from the blocks of the training
            split if there is none.
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
        rng = np.random.Generator(np.random.Philox(key=mix("sample", self.division.seed)))
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
        shards = {
            stage: open_shards(
                self.path, *files[name], self.text_column, self.block_bytes, self.cache
            )
            for stage, name in self.division.found(files).items()
        }
        blocks = {stage: np.arange(len(found.blocks)) for stage, found in shards.items()}
        rng = np.random.Generator(np.random.Philox(key=mix("blocks", self.division.seed)))
        rest = rng.permutation(blocks["train"])
        for stage, fraction in zip(STAGES[1:], self.division.shares(blocks), strict=True):
            if fraction:
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
