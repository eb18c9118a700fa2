"""Targets other than a single class: any number of classes, or values.

Tables have them in the label column. Data with one class per image are converted: to multilabel
with one class, or to the number that is the name of the class.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from arclight.errors import UserError
from arclight_zoo.pixels.source import Source, Split
from arclight_zoo.reading.classes import require_shared
from arclight_zoo.reading.missing import which_rows

__all__ = ["HOLDS", "Targets", "converted", "many_hot", "numbers"]

Targets = Literal["classes", "multilabel", "values"]

HOLDS = {
    "classes": "labelled images",
    "multilabel": "images with any number of classes (data.targets=multilabel)",
    "values": "images with values (data.targets=values)",
}
"""The names of data with these targets, and how to request them."""

_BETWEEN = re.compile(r"[|;,]")  # classes in a cell of text


def converted(source: Source, targets: Targets) -> Source:
    """Converts classes to multilabel, uint8 `(n, classes)`, or values, float32 `(n, values)`.

    Raises:
        UserError: values are requested, but the class names are not numbers.
    """
    if targets == "classes":
        return source
    table: NDArray[Any] = np.eye(len(source.class_names), dtype=np.uint8)
    names = source.class_names
    if targets == "values":
        table, names = _named_by_numbers(source)[:, None], ["value"]
    splits: dict[str, Split] = {
        name: replace(split, labels=table[split.labels])  # type: ignore[type-var]
        for name, split in source.splits.items()
    }
    return Source(source.path, names, splits, notes=source.notes)


def _named_by_numbers(source: Source) -> NDArray[np.float32]:
    try:
        return np.array(source.class_names, dtype=np.float32)
    except ValueError as error:
        raise UserError(
            f"data.targets=values needs numbers, but the classes of {source.path} are named "
            f"{', '.join(source.class_names[:3])}: type data.label_column=NAME with a column of "
            "numbers, or data.targets=classes and another task."
        ) from error


def many_hot(
    path: str, column: str, cells: Mapping[str, Sequence[Any]], names: Sequence[str] | None
) -> tuple[list[str], dict[str, NDArray[np.uint8]]]:
    """Encodes lists of classes as ones and zeros: the class names, and `(n, classes)` by split.

    Args:
        path: of the data, for error messages.
        column: its name, for error messages.
        cells: by split: lists of classes, or text separated by `|`, `;` or `,`. An empty cell has
            no class.
        names: of the classes, if cells hold class numbers; None: the sorted values of the cells.

    Raises:
        UserError: a cell is missing or has an unknown class.
    """
    lists = {split: [_classes(cell) for cell in own] for split, own in cells.items()}
    for split, own in lists.items():
        bad = [row for row, classes in enumerate(own) if classes is None or None in classes]
        if bad:
            raise UserError(
                f"{which_rows(bad, path, split)} no {column}: remove {'them' if bad[1:] else 'it'}."
            )
    entries = [one for own in lists.values() for classes in own for one in classes or ()]
    values = list(range(len(names))) if names is not None else sorted(set(entries))
    if names is None:
        require_shared(path, column, list(map(str, values)), len(entries))
    number = {value: i for i, value in enumerate(values)}
    hot: dict[str, NDArray[np.uint8]] = {}
    for split, own in lists.items():
        hot[split] = np.zeros((len(own), len(values)), dtype=np.uint8)
        for row, classes in enumerate(own):
            for one in classes or ():
                if one not in number:
                    raise UserError(
                        f"Row {row} of split {split} of {path} has the class {one} in {column}, "
                        f"but the {len(values)} classes are 0 to {len(values) - 1}: fix it."
                    )
                hot[split][row, number[one]] = 1
    return list(names or map(str, values)), hot


def _classes(cell: Any) -> list[Any] | None:
    if isinstance(cell, str):
        return [word.strip() for word in _BETWEEN.split(cell) if word.strip()]
    return cell if cell is None or isinstance(cell, list) else [cell]


def numbers(
    path: str, columns: Sequence[str], cells: Mapping[str, Sequence[Any]]
) -> tuple[list[str], dict[str, NDArray[np.float32]]]:
    """The names of the values, and the values of each image, `(n, values)`, by split.

    Args:
        path: of the data, for error messages.
        columns: names of the columns.
        cells: by split and row: a number, or a list of numbers of fixed length.

    Raises:
        UserError: a row lacks a number, or rows differ in length.
    """
    named = ", ".join(columns)
    found: dict[str, NDArray[np.float32]] = {}
    for split, own in cells.items():
        try:
            values = np.array(own, dtype=np.float64).reshape(len(own), -1)
        except (ValueError, TypeError) as error:
            raise UserError(
                f"{named} of {path} holds more than numbers, or its rows in split {split} differ "
                f"in length ({error}): type data.label_column=NAME with a column of numbers, or of "
                "lists of equal length."
            ) from error
        bad = np.flatnonzero(~np.isfinite(values).all(1)).tolist()
        if bad:
            raise UserError(
                f"{which_rows(bad, path, split)} no finite number in {named}: remove "
                f"{'them' if bad[1:] else 'it'}."
            )
        found[split] = values.astype(np.float32)
    widths = {values.shape[1] for values in found.values() if len(values)}
    if len(widths) > 1:
        raise UserError(
            f"The splits of {path} have {' and '.join(map(str, sorted(widths)))} numbers per row "
            f"in {named}: fix one of them."
        )
    width = widths.pop() if widths else len(columns)
    if width == len(columns):
        return list(columns), found
    return [f"{named}_{i}" for i in range(width)], found
