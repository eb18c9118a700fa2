"""Read tables of texts with classes or target texts, and split their rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from arclight.errors import UserError
from arclight_zoo.reading.cells import Cells
from arclight_zoo.reading.classes import numbered, require_several, require_shared, require_short
from arclight_zoo.reading.division import Division
from arclight_zoo.reading.folds import group_numbers, joined
from arclight_zoo.reading.missing import require_none_missing, which_rows
from arclight_zoo.reading.splits import Rows, limited, same_content
from arclight_zoo.tokens.documents import column, open_table

FUNCTIONS = "python:packages"
DATES = "python:dates"

Splits = dict[str, list[str]]  # texts by name of the source's split
Used = dict[str, tuple[str, Rows]]  # by stage: a split, and rows of it


@dataclass(frozen=True)
class Classes:
    """Texts and their classes, by split: `names[i]` is the name of label i.

    Attributes:
        groups: a number for each text, equal for texts that stay together; None: no groups.
    """

    names: list[str]
    texts: Splits
    labels: dict[str, Rows]
    groups: dict[str, Rows] | None = None


AS_FOUND = Division()


def open_classes(
    path: str,
    text_column: str | None,
    label_column: str | None,
    group_column: str | None = None,
    division: Division = AS_FOUND,
    cells: Cells | None = None,
) -> Classes:
    """Opens `python:packages`, or a table; see `arclight_zoo.tokens.documents.open_table`.

    The values of a label column that is not a `ClassLabel` are sorted over all splits and
    numbered; withheld labels are -1.

    Args:
        path: of the table.
        text_column: see `LabelledText`.
        label_column: see `LabelledText`.
        group_column: see `LabelledText`.
        division: only the splits that it uses are read.
        cells: see `open_table`.

    Raises:
        UserError: it is not reachable, a column is missing, a row has no text or label, or there
            is only one class.
    """
    if path == FUNCTIONS:
        from arclight_zoo.tokens.stdlib import PACKAGES, labelled_functions

        if group_column is not None:
            raise UserError(f"{path} has no columns: leave out data.group_column={group_column}.")
        functions, packages = zip(*labelled_functions(), strict=True)
        numbers = np.array(packages, dtype=np.int64)
        return Classes(list(PACKAGES), {"train": list(functions)}, {"train": numbers})
    table = open_table(path, cells, division.wanted)
    text = column(path, table, text_column, "text_column", ("text", "content", "sentence"))
    label = column(path, table, label_column, "label_column", ("label", "labels", "class"))
    _require_two(path, text, label, "label_column")
    names = getattr(next(iter(table.values())).features[label], "names", None)
    values = {split: _cells(path, split, rows, label) for split, rows in table.items()}
    for split, own in values.items():
        require_none_missing(path, split, label, own)
    if names is None:
        names, values = numbered(values)
        require_shared(path, label, names, sum(map(len, values.values())))
    require_short(names)
    labels = {split: np.array(given, dtype=np.int64) for split, given in values.items()}
    texts = _texts(path, table, text, "text_column")
    require_several(path, names)
    groups = None
    if group_column is not None:
        group = column(path, table, group_column, "group_column", ())
        groups = {
            split: group_numbers(_cells(path, split, rows, group)) for split, rows in table.items()
        }
    return Classes(list(names), texts, labels, groups)


def open_pairs(
    path: str,
    source_column: str | None,
    target_column: str | None,
    division: Division = AS_FOUND,
    cells: Cells | None = None,
) -> tuple[Splits, Splits]:
    """Opens the sources and targets of `python:dates`, or of a table; see `open_classes`."""
    if path == DATES:
        from arclight_zoo.tokens.dates import pairs

        sources, targets = zip(*pairs(), strict=True)
        return {"train": list(sources)}, {"train": list(targets)}
    table = open_table(path, cells, division.wanted)
    usual = ("source", "input", "question", "document", "text")
    source = column(path, table, source_column, "source_column", usual)
    usual = ("target", "output", "answer", "summary", "label")
    target = column(path, table, target_column, "target_column", usual)
    _require_two(path, source, target, "target_column")
    return (
        _texts(path, table, source, "source_column"),
        _texts(path, table, target, "target_column"),
    )


def _require_two(path: str, one: str, other: str, key: str) -> None:
    if one == other:
        raise UserError(
            f"The column {one} of {path} cannot be both input and target: type "
            f"data.{key}=NAME with another column, or a data.path that has one."
        )


def _cells(path: str, split: str, rows: Any, name: str) -> list[Any]:
    cells: list[Any] = rows.select_columns([name]).with_format("arrow")[:][name].to_pylist()
    return cells


def _texts(path: str, table: Any, name: str, key: str) -> Splits:
    texts = {split: _cells(path, split, rows, name) for split, rows in table.items()}
    for split, cells in texts.items():
        bad = [i for i, cell in enumerate(cells) if not isinstance(cell, str) or not cell]
        if bad and not any(isinstance(cell, str) for cell in cells):
            raise UserError(
                f"The column {name} of {path} holds no text (its first cell is {cells[0]!r}): type "
                f"data.{key}=NAME with another of {', '.join(table[split].features)}."
            )
        if bad:
            raise UserError(
                f"{which_rows(bad, path, split)} no text in {name}: remove "
                f"{'them' if bad[1:] else 'that row'}, or type data.{key}=NAME with another of "
                f"{', '.join(table[split].features)}."
            )
    return texts


def divide(
    texts: Splits,
    labels: Mapping[str, Rows] | None,
    division: Division,
    groups: Mapping[str, Rows] | None = None,
) -> Used:
    """The rows of "train", "val" and "test", as (split of the source, rows).

    Splits that the source lacks are taken from the training rows, stratified by class; equal texts
    stay together.

    Args:
        texts: by split.
        labels: by split; None without labels.
        division: how to split.
        groups: by split; see `Classes`.
    """
    found = division.found(texts)
    for stage, name in found.items():
        if not texts[name]:
            raise UserError(
                f"The split {name} has no rows: type data.{stage}_split=NAME with another."
            )
    train = found["train"]

    def same() -> Rows:
        equal = same_content(text.encode() for text in texts[train])
        return joined(equal, groups[train] if groups else None)

    strata = np.zeros(len(texts[train]), dtype=np.int64) if labels is None else labels[train]
    whole = {stage: (name, np.arange(len(texts[name]))) for stage, name in found.items()}
    carved = division.rows(found, strata, same)
    return whole | {stage: (train, rows) for stage, rows in carved.items()}


def first_rows(used: Used, limit: int | None, split_seed: int) -> Used:
    """A random subset of at most `limit` rows of each stage."""
    return {s: (name, limited(rows, limit, split_seed)) for s, (name, rows) in used.items()}


def of(texts: Sequence[str], rows: Rows) -> list[str]:
    """The texts in these rows."""
    return [texts[i] for i in rows]
