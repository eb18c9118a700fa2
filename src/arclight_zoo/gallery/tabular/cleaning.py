"""Remove what spreadsheets and other programs add to tables, and say so."""

import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from arclight import UserError
from arclight_zoo.gallery.tabular.columns import MANY, as_texts, is_number, is_numeric

if TYPE_CHECKING:
    from pandas import DataFrame, Series

_FEW_WORDS = 6  # most distinct words in a column of numbers
_WRITTEN = re.compile(r"\(?[-+]?\s*[$€£¥]?\s*[-+]?\d[\d.,'\s]*[%$€£¥]?\s*\)?")  # 1,000 or 5 %
_LOOKED_AT = 100  # rows
_UNNAMED = ("Unnamed: ", "__index_level_")  # by pandas, for a header without a name


def cleaned(
    path: str, splits: "dict[str, DataFrame]", kept: Collection[str]
) -> "tuple[dict[str, DataFrame], list[str]]":
    """The splits without empty rows and without unnamed columns of row numbers; and messages.

    Args:
        path: of the data, for messages.
        splits: by name.
        kept: columns that the config names.

    Raises:
        UserError: the rows have more cells than the header.
    """
    notes: list[str] = []
    first = next(iter(splits.values()))
    unnamed = [c for c in map(str, first.columns) if c.startswith(_UNNAMED) and c not in kept]
    useless = [
        name
        for name in unnamed
        if first[name].isna().all() or (_counts(first[name]) and not first.iloc[:, -1].isna().all())
    ]
    if any(name.startswith(_UNNAMED[1]) and name not in useless for name in unnamed):
        raise UserError(
            f"The rows of {path} have more cells than its first line has names: remove lines "
            "before the header, and name each column."
        )
    if useless:
        notes.append(
            "Left out columns without a name that hold only row numbers or gaps: "
            f"{', '.join(useless)}."
        )
    found = {}
    for split, table in splits.items():
        empty = table.isna().all(axis=1)
        if empty.any():
            notes.append(f"Left out {int(empty.sum()):,} empty rows of split {split}.")
        found[split] = table[~empty].drop(columns=useless, errors="ignore").reset_index(drop=True)
    return found, notes


def _counts(column: "Series[Any]") -> bool:
    """Whether the cells are the numbers of the rows, from 0 or 1."""
    numbers = column.dropna()
    if numbers.dtype.kind not in "iuf" or not len(numbers):
        return False
    return bool((np.asarray(numbers) == np.arange(len(numbers)) + numbers.iloc[0]).all())


def checked(
    path: str,
    splits: "dict[str, DataFrame]",
    columns: Sequence[str],
    categorical: Collection[str],
) -> list[str]:
    """Messages about inputs that can mislead a model.

    Args:
        path: of the data.
        splits: by name; the first is that for training.
        columns: the inputs.
        categorical: those that are declared categories.

    Raises:
        UserError: a column is not in all splits, holds lists, or texts that seem to be numbers.
    """
    first = next(iter(splits.values()))
    _require_filled(path, splits, columns)
    messages = _remarks(first, columns, path)
    _require_numbers(first, [name for name in columns if name not in categorical], path)
    return messages


def _require_filled(path: str, splits: "dict[str, DataFrame]", columns: Sequence[str]) -> None:
    """Raises `UserError` if a column has cells in one split but not in another.

    A file without the column counts as a file with empty cells, since it is read like one.
    """
    filled = {name: table.notna().any() for name, table in splits.items()}
    for column in columns:
        has = {split: bool(known.get(column, False)) for split, known in filled.items()}
        if len(set(has.values())) > 1:
            lacks, full = (next(s for s, v in has.items() if v is what) for what in (False, True))
            raise UserError(
                f"The column {column} is missing or empty in split {lacks} of {path}, but not in "
                f"{full}: fill it, or type data.drop to leave it out."
            )


def _require_numbers(table: "DataFrame", columns: Sequence[str], path: str) -> None:
    """Raises `UserError` for a column of texts that seem to be numbers.

    Args:
        table: all rows that may be trained on.
        columns: inputs that are not declared categories.
        path: of the data.
    """
    for name in columns:
        if is_numeric(table[name]):
            continue
        texts = sorted({cell for cell in as_texts(table[name]) if cell is not None})
        words = [text for text in texts if not is_number(text)]
        if len(words) > 2 and all(map(_WRITTEN.fullmatch, texts)):
            raise UserError(
                f"The column {name} of {path} holds numbers that are written as {words[0]!r}: "
                f"write them as 1234.5, or type data.categorical=[{name}]."
            )
        if len(texts) > MANY and 0 < len(words) <= _FEW_WORDS:
            raise UserError(
                f"The column {name} of {path} holds numbers and the "
                f"{'words' if words[1:] else 'word'} {', '.join(words)}: type "
                f"data.missing=[{','.join(words)}] if that means an empty cell, or "
                f"data.categorical=[{name}]."
            )


def _remarks(table: "DataFrame", columns: Sequence[str], path: str) -> list[str]:
    """Messages about inputs that can mislead a model.

    Args:
        table: the training rows, in the order of the file.
        columns: the inputs.
        path: of the data.

    Raises:
        UserError: a column holds lists or objects.
    """
    for name in columns:
        if any(isinstance(cell, list | dict | np.ndarray) for cell in table[name].head(_LOOKED_AT)):
            raise UserError(
                f"The column {name} of {path} holds lists or objects: give each of their values a "
                f"column, or type data.drop=[{name}]."
            )
    counting = [name for name in columns if _numbers_rows(table[name])]
    constant = [name for name in columns if table[name].nunique(dropna=False) == 1]
    messages = []
    if counting:
        messages.append(
            f"Columns that number the rows of {path}: {', '.join(counting)}. If their order has no "
            "meaning, leave them out with data.drop."
        )
    if constant:
        messages.append(f"Columns with one value in all training rows: {', '.join(constant)}.")
    return messages


def _numbers_rows(column: "Series[Any]") -> bool:
    whole = column.dtype.kind in "iu" and len(column) > 2
    return whole and bool((np.diff(column.to_numpy()) == 1).all())
