"""Pairs of texts: the data module of sequence to sequence."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from arclight.data.module import require_counts, require_fractions
from arclight.data.order import EvalBatches, TrainBatches
from arclight.data.rows import RowLoader
from arclight.errors import UserError
from arclight.ranges import Count, Natural, Seed, Share
from arclight_zoo.reading.cache import cache_folder
from arclight_zoo.reading.cells import Cells
from arclight_zoo.reading.folds import require_fold
from arclight_zoo.reading.splits import Rows
from arclight_zoo.text.labelled import require_room
from arclight_zoo.tokens import tokenizer as tokenizers
from arclight_zoo.tokens.labelled_tables import Division, divide, first_rows, of, open_pairs
from arclight_zoo.tokens.ragged import Ragged, encoded, padding_of
from arclight_zoo.tokens.text_facts import TextFacts
from arclight_zoo.tokens.text_module import TextModule

Batch = tuple[Tensor, ...]
IGNORED = -100  # target to ignore, as in torch's cross-entropy


@dataclass(frozen=True)
class Part:
    """The pairs of one stage."""

    sources: Ragged
    targets: Ragged


class TextPairs(TextModule):
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
        train_split: name of the split to train on; None: found by the usual names.
        val_split: name of the validation split; None: found by the usual names, or else
            `val_fraction` of the training pairs.
        test_split: name of the test split; None: found by the usual names, or else
            `test_fraction` of the training pairs.
        val_fraction: of the pairs; pairs with equal sources stay together.
        test_fraction: of the pairs; 0: no test split.
        split_seed: of the random splits; independent of the run's seed.
        folds: number of parts of the training split for cross-validation; `fold` is the one to test
            on, instead of the test split; None: no cross-validation.
        fold: see `folds`.
        encoding: of csv and jsonl files; None: UTF-8, unless a byte order mark says otherwise.
        missing: values in csv files that count as missing, such as `NA`; None: only empty cells.
        tokenizer: `characters`, `bpe` (byte-pair encoding, trained on the training pairs), or a
            published one: a local folder or file, or a hub id.
        vocab_size: tokens of `bpe`.
        max_length: maximum tokens of a source, with start and end; longer sources are cut.
        max_target_length: maximum tokens of a target, with its end; longer targets are cut.
        batch_size: pairs per optimizer step, over all processes and accumulated batches.
        eval_batch_size: pairs per evaluation batch, over all processes; None: as in training.
        limit: use this many pairs of each split; None: all.
        cache: folder of token files; None: `$ARCLIGHT_CACHE` or `~/.cache/arclight`.
        seed: the run's seed, for order.
    """

    end: int

    holds = "pairs of texts"

    def __init__(
        self,
        path: str,
        source_column: str | None = None,
        target_column: str | None = None,
        train_split: str | None = None,
        val_split: str | None = None,
        test_split: str | None = None,
        val_fraction: Share = 0.1,
        test_fraction: Share = 0.1,
        split_seed: Seed = 0,
        folds: Count | None = None,
        fold: Natural = 0,
        encoding: str | None = None,
        missing: list[str] | None = None,
        tokenizer: str = "bpe",
        vocab_size: Count = 4096,
        max_length: Count = 128,
        max_target_length: Count = 128,
        batch_size: Count = 32,
        eval_batch_size: Count | None = None,
        limit: Count | None = None,
        cache: str | None = None,
        seed: Seed = 0,
    ) -> None:
        super().__init__(path, batch_size, eval_batch_size, seed)
        require_counts(vocab_size=vocab_size, limit=limit)
        require_fractions(val_fraction=val_fraction, test_fraction=test_fraction)
        require_room(max_length=max_length, max_target_length=max_target_length)
        self.columns = source_column, target_column
        self.cells = Cells(encoding, tuple(missing or ()))
        require_fold(fold, folds)
        self.division = Division(
            (train_split, val_split, test_split),
            (val_fraction, test_fraction),
            split_seed,
            fold,
            folds,
        )
        self.split_seed, self.limit = split_seed, limit
        self.kind, self.vocab_size = tokenizer, vocab_size
        self.max_length, self.max_target_length = max_length, max_target_length
        self.cache = cache_folder(cache)

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
        used = first_rows(used, self.limit, self.split_seed)
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
