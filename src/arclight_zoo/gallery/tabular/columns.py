"""Encode columns as numbers, with statistics of the training rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from arclight import UserError
from arclight_zoo.gallery.tabular.table import listed

if TYPE_CHECKING:
    from pandas import DataFrame, Series

MANY = 20  # distinct texts that a column may always have
_BOOLEANS = {"False", "True"}
UNKNOWN = 0  # the code of unknown categories and empty cells


@dataclass(frozen=True)
class Columns:
    """How rows are encoded as numbers.

    Attributes:
        numbers: names of numeric columns.
        means: of each numeric column in the training rows, without empty cells.
        stds: of each numeric column in the training rows; 1 for constant columns.
        gaps: numeric columns with empty cells in the training rows; each adds an indicator column,
            which is 1 for empty cells.
        categories: the sorted values of each other column in the training rows, numbered from 1.
    """

    numbers: list[str]
    means: list[float]
    stds: list[float]
    gaps: list[str]
    categories: dict[str, list[str]]

    @property
    def width(self) -> int:
        """Number of columns of an encoded row before its categories."""
        return len(self.numbers) + len(self.gaps)

    @property
    def cardinalities(self) -> list[int]:
        """Number of categories of each column, including the unknown one."""
        return [len(values) + 1 for values in self.categories.values()]

    def encode(self, table: "DataFrame", where: str) -> NDArray[np.float32]:
        """Encodes rows `(n, width + categories)`: scaled numbers, gap indicators, categories.

        Empty cells of numeric columns become the mean.

        Raises:
            UserError: a column is missing, or has another type than in training.
        """
        if missing := [c for c in (*self.numbers, *self.categories) if c not in table.columns]:
            raise UserError(f"{where} has no column {listed(missing)}: add it.")
        parts: list[NDArray[Any]] = []
        empty: dict[str, NDArray[Any]] = {}
        for name, mean, std in zip(self.numbers, self.means, self.stds, strict=True):
            values = as_numbers(table[name], name, where)
            empty[name] = np.isnan(values)
            parts.append(np.where(empty[name], 0.0, (values - mean) / std))
        parts += [empty[name].astype(float) for name in self.gaps]
        for name, known in self.categories.items():
            parts.append(np.array(_numbered(as_texts(table[name]), known)))
        return np.stack(parts, axis=1).astype(np.float32)


def fit_columns(
    table: "DataFrame", columns: Sequence[str], categorical: Sequence[str], path: str
) -> Columns:
    """Fits the encoding on training rows.

    Args:
        table: only the training rows.
        columns: the inputs.
        categorical: numeric columns to treat as categories.
        path: of the data, for error messages.

    Raises:
        UserError: a column is empty, or has a different text in nearly every row.
    """
    numbers: list[str] = []
    means: list[float] = []
    stds: list[float] = []
    gaps: list[str] = []
    categories: dict[str, list[str]] = {}
    for name in columns:
        column = table[name]
        if column.isna().all():
            raise UserError(
                f"The column {name} of {path} is empty in all training rows: type "
                f"data.drop=[{name}]."
            )
        if name not in categorical and is_numeric(column):
            values = as_numbers(column, name, path)
            numbers.append(name)
            means.append(float(np.nanmean(values)))
            with np.errstate(over="ignore"):
                stds.append(float(np.nanstd(values)) or 1.0)
            if not np.isfinite(stds[-1]):
                raise UserError(
                    f"The column {name} of {path} has values up to {np.nanmax(abs(values)):g}, too "
                    f"large to be scaled: convert it to other units, or type data.drop=[{name}]."
                )
            if np.isnan(values).any():
                gaps.append(name)
            continue
        texts = sorted({cell for cell in as_texts(column) if cell is not None})
        if len(texts) > MANY and 2 * len(texts) > len(table):
            raise UserError(
                f"The column {name} of {path} has {len(texts)} different values in {len(table)} "
                f"training rows, such as {texts[0]!r}: it identifies rows and is not a category. "
                f"Type data.drop=[{name}], or convert it to numbers or a few categories."
            )
        categories[name] = texts
    if not numbers and not categories:
        raise UserError(f"{path} has no column besides the target: add some, or drop fewer.")
    return Columns(numbers, means, stds, gaps, categories)


def is_number(text: str) -> bool:
    """Whether a text is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def is_numeric(column: "Series[Any]") -> bool:
    """Whether a column holds numbers; booleans are categories."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return bool(is_numeric_dtype(column)) and not is_bool_dtype(column)


def as_numbers(column: "Series[Any]", name: str, where: str) -> NDArray[np.float64]:
    """The cells `(n,)` as numbers; NaN for empty cells.

    Raises:
        UserError: a cell is not a number, or infinite.
    """
    try:
        values: NDArray[np.float64] = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"The column {name} of {where} should hold numbers ({error}): fix it, or type "
            f"data.categorical=[{name}] before training."
        ) from error
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise UserError(f"Row {row} of {where} is infinite in {name}: fix or empty that cell.")
    return values


def as_texts(column: "Series[Any]") -> list[str | None]:
    """The cells as text; None for empty cells.

    A whole number is written without a point, since gaps make a column of integers one of
    fractions; a date without a time of day is written alone.
    """
    return [None if gone else _text(cell) for cell, gone in zip(column, column.isna(), strict=True)]


def _text(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).removesuffix(" 00:00:00") if hasattr(cell, "isoformat") else str(cell)


def _numbered(cells: Sequence[str | None], known: Sequence[str]) -> list[int]:
    """The number of each cell's category, from 1; equal numbers and booleans may differ in text."""
    number = {value: i for i, value in enumerate(known, 1)}
    aliases: dict[Any, int] = {}
    if _BOOLEANS.issuperset(known):
        aliases = {value.lower(): i for value, i in number.items()}
    elif all(map(is_number, known)):
        aliases = {float(value): i for value, i in number.items()}

    def find(cell: str | None) -> int:
        if cell is None or cell in number:
            return number.get(cell or "", UNKNOWN)
        key: Any = float(cell) if is_number(cell) else cell.lower()
        return aliases.get(key, UNKNOWN)

    return [find(cell) for cell in cells]
