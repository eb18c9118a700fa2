"""Targets of an image that are no single class: any number of classes, or numbers.

A table has them in its label column. A labelled set has them too: its class as the only one of
several, or the number that its class is named by.
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
"""What data of each kind are called, and how they are asked for."""

_BETWEEN = re.compile(r"[|;,]")  # classes in a cell of text


def converted(source: Source, targets: Targets) -> Source:
    """A labelled set with targets of another kind: uint8 or float32 `(n, classes or values)`.

    Raises:
        UserError: its classes are not named by numbers, and values are wanted.
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
    return Source(source.path, names, splits)


def _named_by_numbers(source: Source) -> NDArray[np.float32]:
    try:
        return np.array(source.class_names, dtype=np.float32)
    except ValueError as error:
        raise UserError(
            f"data.targets=values takes numbers, and the classes of {source.path} are named "
            f"{', '.join(source.class_names[:3])}: name a table's column of numbers with "
            "data.label_column, or type data.targets=classes and another task=."
        ) from error


def many_hot(
    path: str, column: str, cells: Mapping[str, Sequence[Any]], names: Sequence[str] | None
) -> tuple[list[str], dict[str, NDArray[np.uint8]]]:
    """Lists of classes as ones and zeros: the classes' names, and `(n, classes)` by split.

    Args:
        path: what errors call the data, as `column`.
        cells: by split: lists of classes, or text with `|`, `;` or `,` between them. Empty lists
            and texts have none.
        names: of the classes, which the cells then number; None: the sorted values of the cells.

    Raises:
        UserError: a cell is missing or has a class that is not there.
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
                        f"and the {len(values)} classes are 0 to {len(values) - 1}: mend it."
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
    """Names of the values, and the values of each image: `(n, values)` by split.

    Args:
        path: what errors call the data.
        columns: where they are from.
        cells: by split: of each row a number, or a list of equally many.

    Raises:
        UserError: a row lacks a number, or has more or fewer than another.
    """
    named = ", ".join(columns)
    found: dict[str, NDArray[np.float32]] = {}
    for split, own in cells.items():
        try:
            values = np.array(own, dtype=np.float64).reshape(len(own), -1)
        except (ValueError, TypeError) as error:
            raise UserError(
                f"{named} of {path} holds more than numbers, or not equally many in each row of "
                f"split {split} ({error}): type data.label_column=NAME with a column of numbers, "
                "or of lists of equally many."
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
            f"The splits of {path} have {' and '.join(map(str, sorted(widths)))} numbers a row in "
            f"{named}: mend one of them."
        )
    width = widths.pop() if widths else len(columns)
    if width == len(columns):
        return list(columns), found
    return [f"{named}_{i}" for i in range(width)], found
