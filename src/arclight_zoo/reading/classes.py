"""Find the classes of a labelled data set."""

from collections.abc import Mapping, Sequence
from typing import Any

from arclight.errors import UserError

LONGEST = 1000  # characters of a class's name
FEW = 20  # values that may be classes, however few samples each has
_WITHHELD = (-1, "-1")  # marks test labels that the hub keeps secret


def numbered(values: Mapping[str, Sequence[Any]]) -> tuple[list[str], dict[str, list[int]]]:
    """Numbers the sorted label values of all splits; returns the names, and the numbers by split.

    A split whose labels are all -1 is unlabelled: its numbers stay -1, which is no class. In a
    split with other labels too, -1 is a label like them.

    Raises:
        UserError: some labels are lists or objects.
    """
    if any(isinstance(value, list | dict) for own in values.values() for value in own):
        raise UserError(
            "Some labels are lists or objects, not classes: give each row one label, in a column "
            "of its own."
        )
    known = {s: own for s, own in values.items() if any(v not in _WITHHELD for v in own)}
    distinct = sorted({value for own in known.values() for value in own})
    require_short(distinct)
    number = {value: i for i, value in enumerate(distinct)}
    numbers = {s: [number[v] if s in known else -1 for v in own] for s, own in values.items()}
    return [str(value) for value in distinct], numbers


def similar_names(names: Sequence[str]) -> list[str]:
    """A message for each pair of classes whose names differ only in blanks or case."""
    seen: dict[str, str] = {}
    messages = []
    for name in names:
        key = " ".join(name.split()).casefold()
        if key in seen:
            messages.append(
                f"The classes {seen[key]!r} and {name!r} differ only in blanks or case; they count "
                "as two classes."
            )
        seen.setdefault(key, name)
    return messages


def untrained(names: Sequence[str], counts: Sequence[int]) -> list[str]:
    """A message about classes without training rows; `counts[i]` rows have class i."""
    missing = [name for name, count in zip(names, counts, strict=True) if not count]
    if not missing:
        return []
    some = ", ".join(missing[:5]) + (", ..." if missing[5:] else "")
    return [f"No training row has the {'classes' if missing[1:] else 'class'} {some}."]


def require_short(names: Sequence[Any]) -> None:
    """Raises `UserError` if a value is too long for a class name."""
    for name in names:
        if isinstance(name, str) and len(name) > LONGEST:
            raise UserError(
                f"A label has {len(name):,} characters and begins with {name[:40]!r}, but a class "
                f"name has at most {LONGEST:,}. Choose another column, or fix the data."
            )


def require_shared(path: str, column: str, names: Sequence[str], count: int) -> None:
    """Raises `UserError` if the values of a label column do not look like classes.

    That is: most values have fewer than two samples, or most are fractions.

    Args:
        path: of the data.
        column: name of the label column.
        names: its distinct values.
        count: number of samples.
    """
    fractions = sum(_is_fraction(name) for name in names)
    if len(names) > FEW and (2 * len(names) > count or 2 * fractions > len(names)):
        raise UserError(
            f"The column {column} of {path} has {len(names)} different values in {count} rows, "
            f"such as {names[0]} and {names[-1]}: these look like numbers or names of single rows, "
            "not classes. Type data.label_column=NAME with a column of classes, or group its "
            "values into a few classes."
        )


def _is_fraction(name: str) -> bool:
    try:
        return not float(name).is_integer()
    except (ValueError, OverflowError):
        return False


def require_several(path: str, names: Sequence[str]) -> None:
    """Raises `UserError` if there is only one class."""
    if len(names) == 1:
        raise UserError(
            f"All samples of {path} have one class, {names[0]}, so there is nothing to classify: "
            "add another class, or choose another data.path or column."
        )
