"""Labelled text: the data module of text classification."""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from arclight.data.module import require_counts, require_fractions
from arclight.data.order import EvalBatches, TrainBatches
from arclight.data.rows import RowLoader
from arclight.errors import UserError
from arclight.ranges import Count, Natural, Seed, Share
from arclight_zoo.reading.cache import cache_folder
from arclight_zoo.reading.cells import Cells
from arclight_zoo.reading.classes import similar_names, untrained
from arclight_zoo.reading.folds import require_fold
from arclight_zoo.reading.splits import Rows
from arclight_zoo.tokens import tokenizer as tokenizers
from arclight_zoo.tokens.labelled_tables import Division, divide, first_rows, of, open_classes
from arclight_zoo.tokens.ragged import Ragged, encoded, padding_of
from arclight_zoo.tokens.text_facts import TextFacts
from arclight_zoo.tokens.text_module import TextModule

Batch = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Part:
    """The texts of one stage."""

    texts: Ragged
    labels: Tensor


class LabelledText(TextModule):
    """Texts with one class each, padded to the longest text of a batch.

    A batch is (tokens, mask, labels): tokens and mask `(batch, longest)`, where the mask is False
    for padding, and labels `(batch,)`.

    Args:
        path: `python:packages` (the functions of Python's standard library by their package), a
            csv, jsonl or parquet file, a folder of these, or a Hugging Face hub id.
        text_column: of a table; None: found by the usual names.
        label_column: of a table; None: found by the usual names.
        train_split: name of the split to train on; None: found by the usual names.
        val_split: name of the validation split; None: found by the usual names, or else
            `val_fraction` of the training texts.
        test_split: name of the test split; None: found by the usual names, or else
            `test_fraction` of the training texts.
        val_fraction: of each class; equal texts stay together.
        test_fraction: of each class; 0: no test split.
        split_seed: of the random splits; independent of the run's seed.
        folds: number of parts of the training split for cross-validation; `fold` is the one to test
            on, instead of the test split; None: no cross-validation.
        fold: see `folds`.
        group_column: texts with the same value stay in one split; None: only equal texts do.
        encoding: of csv and jsonl files; None: UTF-8, unless a byte order mark says otherwise.
        missing: values in csv files that count as missing, such as `NA`; None: only empty cells.
        tokenizer: `characters`, `bpe` (byte-pair encoding, trained on the training texts), or a
            published one: a local folder or file, or a hub id.
        vocab_size: tokens of `bpe`.
        max_length: maximum tokens of a text, with start and end; longer texts are cut.
        batch_size: texts per optimizer step, over all processes and accumulated batches.
        eval_batch_size: texts per evaluation batch, over all processes; None: as in training.
        limit: use this many texts of each split; None: all.
        cache: folder of token files; None: `$ARCLIGHT_CACHE` or `~/.cache/arclight`.
        seed: the run's seed, for order.
    """

    holds = "labelled texts"

    def __init__(
        self,
        path: str,
        text_column: str | None = None,
        label_column: str | None = None,
        train_split: str | None = None,
        val_split: str | None = None,
        test_split: str | None = None,
        val_fraction: Share = 0.1,
        test_fraction: Share = 0.1,
        split_seed: Seed = 0,
        folds: Count | None = None,
        fold: Natural = 0,
        group_column: str | None = None,
        encoding: str | None = None,
        missing: list[str] | None = None,
        tokenizer: str = "bpe",
        vocab_size: Count = 4096,
        max_length: Count = 128,
        batch_size: Count = 32,
        eval_batch_size: Count | None = None,
        limit: Count | None = None,
        cache: str | None = None,
        seed: Seed = 0,
    ) -> None:
        super().__init__(path, batch_size, eval_batch_size, seed)
        require_counts(vocab_size=vocab_size, limit=limit)
        require_fractions(val_fraction=val_fraction, test_fraction=test_fraction)
        require_room(max_length=max_length)
        self.columns = text_column, label_column, group_column
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
        self.kind, self.vocab_size, self.max_length = tokenizer, vocab_size, max_length
        self.cache = cache_folder(cache)

    def setup(self, stage: str | None = None) -> None:
        """Reads, splits and encodes the texts; a second call does nothing."""
        if hasattr(self, "facts"):
            return
        found = open_classes(self.path, *self.columns, self.division, self.cells)
        used = divide(found.texts, found.labels, self.division, found.groups)
        for part, (split, rows) in used.items():
            self._check(found.labels[split][rows], part, split)
        split, rows = used["train"]
        made = self.find_tokenizer(self.kind, of(found.texts[split], rows), self.vocab_size)
        self.tokenizer = tokenizers.framed(made)
        self.pad = padding_of(self.tokenizer)
        used = first_rows(used, self.limit, self.split_seed)
        self.parts = {
            part: self._part(found.texts[s], found.labels[s], rows)
            for part, (s, rows) in used.items()
        }
        counts = torch.bincount(self.parts["train"].labels, minlength=len(found.names)).tolist()
        self.notes = similar_names(found.names) + untrained(found.names, counts)
        digest = hashlib.sha256()
        for one in self.parts.values():
            digest.update(one.texts.digest() + one.labels.numpy().tobytes())
        self.facts = TextFacts(
            sizes={stage: len(one.texts) for stage, one in self.parts.items()},
            fingerprint=digest.hexdigest(),
            vocab_size=self.tokenizer.get_vocab_size(),
            context=self.max_length,
            pad=self.pad,
            class_names=found.names,
            class_counts=counts,
        )

    def _check(self, labels: Rows, stage: str, split: str) -> None:
        if (labels < 0).any():  # withheld on the hub
            raise UserError(
                f"The split {split} of {self.path} has rows without a label (-1): type "
                f"data.{stage}_split=NAME with a fully labelled one."
            )

    def _part(self, texts: list[str], labels: Rows, rows: Rows) -> Part:
        tokens = encoded(self.tokenizer, of(texts, rows), self.max_length, self.cache)
        return Part(tokens, torch.from_numpy(labels[rows]))

    def make_loader(
        self, stage: str, batches: TrainBatches | EvalBatches, device: torch.device
    ) -> RowLoader:
        part = self.parts[stage]

        def make(indices: Tensor, epoch: int | None) -> Batch:
            return *part.texts.padded(indices, self.pad), part.labels[indices]

        return RowLoader(batches, make)


def require_room(**lengths: int) -> None:
    """Raises `UserError` if a maximum length leaves no room between start and end token."""
    for key, length in lengths.items():
        if length < 3:
            raise UserError(
                f"data.{key}={length} leaves no room for a text between its start and end tokens: "
                f"type data.{key}=64, for example."
            )
