"""Pairs of texts: the data module of sequence to sequence."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arclight.data.order import EvalBatches, TrainBatches
from arclight.data.rows import RowLoader
from arclight.errors import UserError
from arclight.ranges import Count
from arclight_zoo.reading.splits import Rows
from arclight_zoo.tokens import tokenizer as tokenizers
from arclight_zoo.tokens.labelled_tables import divide, first_rows, of, open_pairs
from arclight_zoo.tokens.ragged import IGNORED, Ragged, encoded, padding_of
from arclight_zoo.tokens.text_facts import TextFacts
from arclight_zoo.tokens.text_table import TextTable, require_room

Batch = tuple[Tensor, ...]


@dataclass(frozen=True)
class Part:
    """The pairs of one stage."""

    sources: Ragged
    targets: Ragged


class TextPairs(TextTable):
    """Source and target texts, each padded to the longest of a batch.

    A batch is (source, mask, target): the source `(batch, longest)` with the tokenizer's special
    tokens, the mask of the same shape, False for padding, and the target `(batch, longest target)`
    with the end token, padded with -100. Training batches have a fourth element, a number `()`:
    see `PairLoader`.

    Attributes:
        end: the end token of targets.
        max_target_length: maximum tokens of a target.

    Args:
        path: `python:dates` (dates in words and in digits), a csv, jsonl or parquet file, a folder
            of these, or a Hugging Face hub id.
        source_column: of a table; None: found by the usual names.
        target_column: of a table; None: found by the usual names.
        max_target_length: maximum tokens of a target, with its end; longer targets are cut.
        encoding: for this and all further arguments, see `TextTable`.
    """

    end: int

    holds = "pairs of texts"

    def __init__(
        self,
        path: str,
        source_column: str | None = None,
        target_column: str | None = None,
        max_target_length: Count = 128,
        **table: Any,
    ) -> None:
        super().__init__(path, **table)
        require_room(max_target_length=max_target_length)
        self.columns = source_column, target_column
        self.max_target_length = max_target_length

    def setup(self, stage: str | None = None) -> None:
        """Reads, splits and encodes the pairs; a second call does nothing."""
        if hasattr(self, "facts"):
            return
        sources, targets = open_pairs(self.path, *self.columns, self.division, self.cells)
        used = divide(sources, None, self.division)
        split, rows = used["train"]
        known = [*of(sources[split], rows), *of(targets[split], rows)]
        made = self.find_tokenizer(self.kind, known, self.vocab_size)
        self.tokenizer = tokenizers.framed(made)
        self.pad = padding_of(self.tokenizer)
        end = tokenizers.end_of(self.tokenizer)
        if end is None:
            raise UserError(
                f"data.tokenizer={self.kind} has no end token ({tokenizers.END}): "
                "type data.tokenizer=bpe, or name a tokenizer that has one."
            )
        self.end = end
        used = first_rows(used, self.limit, self.division.seed)
        self.parts = {
            part: self._part(of(sources[s], rows), of(targets[s], rows))
            for part, (s, rows) in used.items()
        }
        digest = hashlib.sha256()
        for one in self.parts.values():
            digest.update(one.sources.digest() + one.targets.digest())
        self.facts = TextFacts(
            sizes={stage: len(one.sources) for stage, one in self.parts.items()},
            fingerprint=digest.hexdigest(),
            vocab_size=self.tokenizer.get_vocab_size(),
            context=max(self.max_length, self.max_target_length),
            target_context=self.max_target_length,
            pad=self.pad,
        )

    def _part(self, sources: list[str], targets: list[str]) -> Part:
        return Part(
            encoded(self.tokenizer, sources, self.max_length, self.cache),
            encoded(self.tokenizer, targets, self.max_target_length, self.cache, self.end),
        )

    def make_loader(
        self, stage: str, batches: TrainBatches | EvalBatches, device: torch.device
    ) -> RowLoader:
        part = self.parts[stage]

        def make(indices: Tensor, epoch: int | None) -> Batch:
            target, _ = part.targets.padded(indices, IGNORED)
            return *part.sources.padded(indices, self.pad), target

        return PairLoader(batches, make, np.diff(part.targets.starts))

    def texts(self, tokens: Tensor) -> list[str]:
        """Decodes tokens `(n, length)` up to their end tokens."""
        rows = []
        for row in tokens.tolist():
            known = [token for token in row if token != IGNORED]
            rows.append(known[: known.index(self.end)] if self.end in known else known)
        return [str(text) for text in self.tokenizer.decode_batch(rows)]


class PairLoader(RowLoader):
    """Adds to each training batch the number of target tokens of its step, per part of the step.

    A step is divided into parts: processes and accumulated batches. A loss divided by this number
    has the same gradient for any division. Divided by a part's own tokens, it would give tokens of
    parts with short targets more weight.

    Args:
        lengths: of all targets, `(n,)`.
    """

    def __init__(
        self, batches: TrainBatches | EvalBatches, make: Callable[..., Batch], lengths: Rows
    ) -> None:
        super().__init__(batches, make)
        self.lengths = torch.from_numpy(lengths)

    def __iter__(self) -> Iterator[Batch]:
        if isinstance(self.batches, EvalBatches):
            yield from super().__iter__()
            return
        epoch, start = self.batches.where()
        parts = self.batches.world * self.batches.accumulate
        of_epoch = self.batches.of_epoch(epoch, start), self.batches.steps_of(epoch, start)
        for indices, step in zip(*of_epoch, strict=True):
            yield *self.make(indices, epoch), self.lengths[step].sum() / parts
