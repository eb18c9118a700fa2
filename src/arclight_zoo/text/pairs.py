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
IGNORED = -100  # a target that no loss is taken of: torch's own default


@dataclass(frozen=True)
class Part:
    """The pairs of one stage."""

    sources: Ragged
    targets: Ragged


class TextPairs(TextModule):
    """Texts and what is to be made of them, each padded to the longest of a batch.

    A batch is (source, mask, target): the source `(batch, longest)` in the frame that the tokenizer
    puts around a text, the mask true where there is a token of it, and the target
    `(batch, longest target)`, which the end token closes and -100 fills up. In training there is a
    fourth, a number `()`: see `PairLoader`.

    Attributes:
        end: the token that closes a target.
        max_target_length: the most tokens of a target.

    Args:
        path: `python:dates` (dates in words and in figures), a csv, jsonl or parquet file, a folder
            of such, or a Hugging Face hub id.
        source_column: of a table; None: found among the usual names.
        target_column: likewise.
        train_split: the data's own split to train on; None: found among the usual names.
        val_split: likewise; None and none found: `val_fraction` of the training pairs.
        test_split: likewise, with `test_fraction`.
        val_fraction: share of the pairs; those with equal sources stay on one side.
        test_fraction: likewise; 0: nothing is tested.
        split_seed: decides which pairs, independently of the run's seed.
        folds: the training split is cut into so many parts, of which `fold` is tested on, in the
            place of the test split; None: it is not.
        fold: see `folds`.
        encoding: of csv and jsonl files; None: UTF-8, or as their byte order mark says.
        missing: words in csv files that mean an empty cell, such as `NA`; None: no word does.
        tokenizer: `characters`, `bpe` (byte-pair encoding, trained on the training pairs), or a
            published one: a local folder or file, or a hub id.
        vocab_size: tokens of `bpe`.
        max_length: tokens of one source, with its frame; the rest of longer ones is left out.
        max_target_length: tokens of one target, with its end; likewise.
        batch_size: pairs of one optimizer step, over all processes and accumulated batches.
        eval_batch_size: pairs of one evaluation batch over all processes; None: as in training.
        limit: use so many pairs of each split; None: all.
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
        """Reads, divides and encodes the pairs; a second call does nothing."""
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
                f"data.tokenizer={self.kind} has no token that ends a text ({tokenizers.END}): "
                "type data.tokenizer=bpe, or name one that has."
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
        """What tokens `(n, length)` say up to their end."""
        rows = []
        for row in tokens.tolist():
            known = [token for token in row if token != IGNORED]
            rows.append(known[: known.index(self.end)] if self.end in known else known)
        return [str(text) for text in self.tokenizer.decode_batch(rows)]


class PairLoader(RowLoader):
    """Training batches come with the target tokens of their whole step, over its number of parts.

    A loss that is divided by that has the same gradient however the step is cut into processes and
    accumulated batches. Divided by a part's own tokens it has not: those of a part with short
    targets would count more.

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
