"""What the classes of a labelled set are."""

from collections.abc import Mapping, Sequence
from typing import Any

from arclight.errors import UserError

LONGEST = 1000  # characters of a class's name
FEW = 20  # values that may be classes, however few samples each has
_WITHHELD = (-1, "-1")  # how the hub says that nobody may know


def numbered(values: Mapping[str, Sequence[Any]]) -> tuple[list[str], dict[str, list[int]]]:
    """Numbers label values by their order in all splits: the names, and the numbers by split.

    A split in which every label is -1 has none: its numbers stay -1, and name no class. Beside
    other labels, -1 is one of them.
    """
    known = {s: own for s, own in values.items() if any(v not in _WITHHELD for v in own)}
    distinct = sorted({value for own in known.values() for value in own})
    require_short(distinct)
    number = {value: i for i, value in enumerate(distinct)}
    numbers = {s: [number[v] if s in known else -1 for v in own] for s, own in values.items()}
    return [str(value) for value in distinct], numbers


def alike(names: Sequence[str]) -> list[str]:
    """A sentence about each pair of classes whose names differ in blanks or case alone."""
    seen: dict[str, str] = {}
    said = []
    for name in names:
        key = " ".join(name.split()).casefold()
        if key in seen:
            said.append(
                f"The classes {seen[key]!r} and {name!r} differ in blanks or case alone, and count "
                "as two."
            )
        seen.setdefault(key, name)
    return said


def untrained(names: Sequence[str], counts: Sequence[int]) -> list[str]:
    """A sentence about classes without training rows; `counts[i]` rows have the class i."""
    missing = [name for name, count in zip(names, counts, strict=True) if not count]
    if not missing:
        return []
    some = ", ".join(missing[:5]) + (", ..." if missing[5:] else "")
    return [f"No training row has the {'classes' if missing[1:] else 'class'} {some}."]


def require_short(names: Sequence[Any]) -> None:
    """Raises `UserError` where a value is too long to be the name of a class."""
    for name in names:
        if isinstance(name, str) and len(name) > LONGEST:
            raise UserError(
                f"A label has {len(name):,} characters and begins with {name[:40]!r}: it is no "
                f"name of a class, which has at most {LONGEST:,}. Choose another column, or mend "
                "the data."
            )


def require_shared(path: str, column: str, names: Sequence[str], count: int) -> None:
    """Raises `UserError` where the values of a label column are too many to be classes.

    They are where there are hardly two samples of each, or where they are fractions.

    Args:
        path: of the data.
        column: the values' own.
        names: the values, all different.
        count: of the samples.
    """
    fractions = sum(_is_fraction(name) for name in names)
    if len(names) > FEW and (2 * len(names) > count or 2 * fractions > len(names)):
        raise UserError(
            f"The column {column} of {path} has {len(names)} different values in {count} rows, "
            f"such as {names[0]} and {names[-1]}: it holds a number or a name of each row, and no "
            "classes. Type data.label_column=NAME with a column of classes, or put its values into "
            "a few classes."
        )


def _is_fraction(name: str) -> bool:
    try:
        return not float(name).is_integer()
    except (ValueError, OverflowError):
        return False


def require_several(path: str, names: Sequence[str]) -> None:
    """Raises `UserError` where there is only one class."""
    if len(names) == 1:
        raise UserError(
            f"All of {path} is of one class, {names[0]}, so there is nothing to tell apart: add "
            "another class, or choose another data.path or column."
        )
