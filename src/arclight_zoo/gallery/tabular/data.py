"""The data module for tables."""

import hashlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arclight import Facts, UserError
from arclight.data.order import EvalBatches, TrainBatches
from arclight.data.rows import RowLoader
from arclight.ranges import Count, Share
from arclight_zoo.gallery.tabular.cleaning import checked, cleaned
from arclight_zoo.gallery.tabular.columns import as_numbers, as_texts, fit_columns, is_numeric
from arclight_zoo.gallery.tabular.facts import TableFacts
from arclight_zoo.gallery.tabular.table import listed, open_table, require_target
from arclight_zoo.reading.cells import Cells
from arclight_zoo.reading.classes import (
    numbered,
    require_several,
    require_shared,
    similar_names,
    untrained,
)
from arclight_zoo.reading.divided import DividedData
from arclight_zoo.reading.division import STAGES
from arclight_zoo.reading.folds import group_numbers, joined
from arclight_zoo.reading.splits import Rows, limited, same_content

if TYPE_CHECKING:
    from pandas import DataFrame, Series

HOLDS = "rows of a table"
FEW = 20  # most distinct integers that are treated as classes


class TableData(DividedData):
    """Rows of a table; one column is the target, and all others are inputs.

    Numeric columns are standardised with mean and std of the training rows; all others are
    categories. Batches are rows `(batch, columns)`, see `Columns.encode`, and targets `(batch,)`:
    classes, or numbers standardised with mean and std of the training rows.

    Args:
        path: `sklearn:breast_cancer`, `diabetes`, `digits`, `iris` or `wine`; a csv, jsonl or
            parquet file, a folder of these named by split, or a hub id.
        target: the target column; None: `target`.
        predict: the kind of target, `classes` or `values`; None: values if it has fractions, or
            more than 20 distinct numbers.
        categorical: numeric columns to treat as categories.
        drop: columns to leave out.
        encoding: of csv and jsonl files; None: UTF-8, unless a byte order mark says otherwise.
        missing: values in csv files that count as missing, such as `NA`; None: only empty cells.
        eval_batch_size: rows per evaluation batch, over all processes; None: as in training.
        test_fraction: see `test_split`.
        group_column: rows with the same value stay in one split; it is not an input. None: only
            equal rows stay together.
        train_split: for this and all further arguments, see `DividedData`.

    Raises:
        UserError: the data or an argument is invalid.
    """

    holds = HOLDS
    facts: TableFacts
    facts_type: type[Facts] = TableFacts

    def __init__(
        self,
        path: str,
        target: str | None = None,
        predict: Literal["classes", "values"] | None = None,
        categorical: list[str] | None = None,
        drop: list[str] | None = None,
        encoding: str | None = None,
        missing: list[str] | None = None,
        eval_batch_size: Count | None = 1024,
        test_fraction: Share = 0.2,
        group_column: str | None = None,
        **divided: Any,
    ) -> None:
        super().__init__(
            path, test_fraction=test_fraction, eval_batch_size=eval_batch_size, **divided
        )
        self.group_column = group_column
        self.target, self.predict = target, predict
        self.categorical, self.drop = categorical or [], drop or []
        self.cells = Cells(encoding, tuple(missing or ()))

    def setup(self, stage: str | None = None) -> None:
        """Reads, splits and encodes the table; a second call does nothing."""
        if hasattr(self, "facts"):
            return
        splits = open_table(self.path, self.cells, self.division.wanted)
        splits, self.notes = cleaned(self.path, splits, (*self.drop, *self.categorical))
        target = require_target(self.path, splits, self.target)
        columns = self._inputs(splits, target)
        self.notes += checked(self.path, splits, columns, self.categorical)
        class_names, targets = self._targets(splits, target)
        tables, truths = self._divide(splits, targets, bool(class_names))
        if class_names:
            counts = np.bincount(truths["train"], minlength=len(class_names)).tolist()
            self.notes += similar_names(class_names) + untrained(class_names, counts)
        inputs = fit_columns(tables["train"], columns, self.categorical, self.path)
        mean, std = 0.0, 1.0
        if not class_names:
            mean, std = float(truths["train"].mean()), float(truths["train"].std())
            if not std:
                raise UserError(
                    f"All training rows of {self.path} have the {target} {mean:g}, so there is "
                    "nothing to predict: choose another data.target."
                )
        self.parts: dict[str, tuple[Tensor, Tensor]] = {}
        digest = hashlib.sha256()
        for name in STAGES:
            rows = inputs.encode(tables[name], self.path)
            truth = truths[name] if class_names else (truths[name] - mean) / std
            kind = np.int64 if class_names else np.float32
            self.parts[name] = torch.from_numpy(rows), torch.from_numpy(truth.astype(kind))
            digest.update(rows.tobytes() + truth.tobytes())
        self.facts = TableFacts(
            sizes={name: len(rows) for name, (rows, _) in self.parts.items()},
            fingerprint=digest.hexdigest(),
            target=target,
            class_names=class_names,
            mean=mean,
            std=std,
            inputs=asdict(inputs),
            missing=list(self.cells.missing),
            encoding=self.cells.encoding,
        )

    def _inputs(self, splits: "dict[str, DataFrame]", target: str) -> list[str]:
        """The input columns: all except the target and dropped ones; all splits must have them."""
        known = [str(c) for c in next(iter(splits.values())).columns]
        for key, names in (("drop", self.drop), ("categorical", self.categorical)):
            if wrong := [name for name in names if name not in known]:
                raise UserError(
                    f"data.{key} names {wrong[0]}, not a column of {self.path}: choose from "
                    f"{listed(known)}."
                )
        if self.group_column is not None and self.group_column not in known:
            raise UserError(
                f"data.group_column={self.group_column} is not a column of {self.path}: type one "
                f"of {listed(known)}."
            )
        if target in self.drop:
            raise UserError(f"data.drop names {target}, which is the target: leave it out.")
        others = (target, self.group_column, *self.drop)
        return [name for name in known if name not in others]

    def _targets(
        self, splits: "dict[str, DataFrame]", target: str
    ) -> tuple[list[str], dict[str, NDArray[Any]]]:
        """The class names and the targets by split; without names, targets are values."""
        import pandas

        every = pandas.concat([table[target] for table in splits.values()])
        if is_numeric(every):
            values = {n: as_numbers(t[target], target, self.path) for n, t in splits.items()}
        if (self.predict or _kind(every)) == "values":
            if not is_numeric(every):
                raise UserError(
                    f"data.predict=values needs numbers, but {target} of {self.path} holds "
                    f"{every.iloc[0]!r}: type data.predict=classes, or data.target=COLUMN."
                )
            return [], values
        cells = {name: as_texts(table[target]) for name, table in splits.items()}
        if is_numeric(every) and (every == every.round()).all():  # 2 comes before 10
            cells = {n: [int(c) for c in t[target]] for n, t in splits.items()}  # type: ignore[misc]
        names, numbers = numbered(cells)
        require_several(self.path, names)
        require_shared(self.path, target, names, len(every))
        return names, {name: np.array(own) for name, own in numbers.items()}

    def _divide(
        self, splits: "dict[str, DataFrame]", targets: dict[str, NDArray[Any]], classes: bool
    ) -> "tuple[dict[str, DataFrame], dict[str, NDArray[Any]]]":
        """Rows and targets of each stage; missing splits are taken from the training rows."""
        found = self.division.found(splits)
        train, truth = splits[found["train"]], targets[found["train"]]

        def same() -> Rows:
            rows = train.itertuples(index=False, name=None)
            equal = same_content(repr(row).encode() for row in rows)
            if self.group_column is None:
                return equal
            return joined(equal, group_numbers(train[self.group_column].tolist()))

        strata = truth if classes else np.zeros(len(train), dtype=np.int64)
        taken = self.division.rows(found, strata, same)
        tables, truths = {}, {}
        for stage in STAGES:
            name = found["train"] if stage in taken else found[stage]
            rows = taken.get(stage, np.arange(len(splits[name])))
            own = limited(rows, self.limit, self.division.seed)
            tables[stage], truths[stage] = splits[name].iloc[own], targets[name][own]
        return tables, truths

    def make_loader(
        self, stage: str, batches: TrainBatches | EvalBatches, device: torch.device
    ) -> RowLoader:
        rows, targets = self.parts[stage]
        return RowLoader(batches, lambda indices, epoch: (rows[indices], targets[indices]))


def _kind(column: "Series[Any]") -> str:
    """The likely kind of a column's content."""
    if not is_numeric(column):
        return "classes"
    whole = (column == column.round()).all()
    return "classes" if whole and column.nunique() <= FEW else "values"
