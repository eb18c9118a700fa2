"""Labelled text: the data module of text classification."""

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from arclight.data.order import EvalBatches, TrainBatches
from arclight.data.rows import RowLoader
from arclight.errors import UserError
from arclight_zoo.reading.classes import similar_names, untrained
from arclight_zoo.reading.splits import Rows
from arclight_zoo.tokens import tokenizer as tokenizers
from arclight_zoo.tokens.labelled_tables import divide, first_rows, of, open_classes
from arclight_zoo.tokens.ragged import Ragged, encoded, padding_of
from arclight_zoo.tokens.text_facts import TextFacts
from arclight_zoo.tokens.text_table import TextTable

Batch = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Part:
    """The texts of one stage."""

    texts: Ragged
    labels: Tensor


class LabelledText(TextTable):
    """Texts with one class each, padded to the longest text of a batch.

    A batch is (tokens, mask, labels): tokens and mask `(batch, longest)`, where the mask is False
    for padding, and labels `(batch,)`.

    Args:
        path: `python:packages` (the functions of Python's standard library by their package), a
            csv, jsonl or parquet file, a folder of these, or a Hugging Face hub id.
        text_column: of a table; None: found by the usual names.
        label_column: of a table; None: found by the usual names.
        group_column: texts with the same value stay in one split; None: only equal texts do.
        encoding: for this and all further arguments, see `TextTable`.
    """

    holds = "labelled texts"

    def __init__(
        self,
        path: str,
        text_column: str | None = None,
        label_column: str | None = None,
        group_column: str | None = None,
        **table: Any,
    ) -> None:
        super().__init__(path, **table)
        self.columns = text_column, label_column, group_column

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
        used = first_rows(used, self.limit, self.division.seed)
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
