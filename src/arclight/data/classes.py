"""What the classes of a labelled set are."""

from collections.abc import Mapping, Sequence
from typing import Any

from arclight.errors import UserError

_WITHHELD = (-1, "-1")  # how the hub says that nobody may know


def numbered(values: Mapping[str, Sequence[Any]]) -> tuple[list[str], dict[str, list[int]]]:
    """Numbers label values by their order in all splits: the names, and the numbers by split.

    A split in which every label is -1 has none: its numbers stay -1, and name no class. Beside
    other labels, -1 is one of them.
    """
    known = {s: own for s, own in values.items() if any(v not in _WITHHELD for v in own)}
    distinct = sorted({value for own in known.values() for value in own})
    number = {value: i for i, value in enumerate(distinct)}
    numbers = {s: [number[v] if s in known else -1 for v in own] for s, own in values.items()}
    return [str(value) for value in distinct], numbers


def require_several(path: str, names: Sequence[str]) -> None:
    """Raises `UserError` where there is only one class."""
    if len(names) == 1:
        raise UserError(
            f"All of {path} is of one class, {names[0]}, so there is nothing to tell apart: add "
            "another class, or choose another data.path or column."
        )
