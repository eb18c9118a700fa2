"""Report rows of a table with missing cells in one sentence."""

from collections.abc import Sequence
from typing import Any

from arclight.errors import UserError

_NAMED = 5


def require_none_missing(path: str, split: str, column: str, values: Sequence[Any]) -> None:
    """Raises `UserError` if a column has empty cells; the message says how many and which."""
    bad = [row for row, value in enumerate(values) if value is None or value != value]
    if bad:
        them = "them" if bad[1:] else "that row"
        raise UserError(f"{which_rows(bad, path, split)} no {column}: remove {them}.")


def which_rows(bad: Sequence[int], path: str, split: str) -> str:
    """The beginning of a message: `Row 3 of split train of FILE has`, or `2 rows ... have`."""
    if len(bad) == 1:
        return f"Row {bad[0]} of split {split} of {path} has"
    first = ", ".join(map(str, bad[:_NAMED]))
    more = ", ..." if bad[_NAMED:] else ""
    return f"{len(bad)} rows of split {split} of {path} ({first}{more}) have"
