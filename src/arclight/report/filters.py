"""Runs that meet conditions, and tables in order."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from arclight.config.suggest import did_you_mean
from arclight.errors import UserError
from arclight.report.metrics import larger_is_better
from arclight.report.results import Result, parse, require_known
from arclight.report.rows import Mean, Row

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b or str(a) == str(b),
    "!=": lambda a, b: not (a == b or str(a) == str(b)),
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


def where(results: Sequence[Result], conditions: str) -> list[Result]:
    """The runs that meet all conditions, such as `model=cnn,optimizer.lr<0.01,status!=failed`.

    Raises:
        UserError: a condition cannot be parsed, or no run has its key.
    """
    kept = list(results)
    for condition in re.split(r",(?![^\[]*\])", conditions):
        parts = re.fullmatch(r"\s*([\w./@-]+)\s*(!=|<=|>=|=|<|>)(.*)", condition)
        if parts is None:
            raise UserError(
                f"where={condition} should be like model=cnn, optimizer.lr<0.01 or status!=failed."
            )
        key, sign, wanted = parts[1], parts[2], parse(parts[3].strip())
        require_known(results, key)
        kept = [result for result in kept if _meets(result.value(key), sign, wanted)]
    return kept


def _meets(value: Any, sign: str, wanted: Any) -> bool:
    try:
        return _COMPARE[sign](value, wanted)
    except TypeError:  # a missing value, or text compared with a number
        return False


def ordered(rows: Sequence[Row], key: str, results: Sequence[Result]) -> list[Row]:
    """Sorts the rows by a column: metrics best first, settings ascending; `-key` reverses it.

    Rows without a value come last.

    Raises:
        UserError: there is no such column.
    """
    name = key.removeprefix("-")
    if rows and name not in rows[0]:
        raise UserError(f"{name} is not a column of the table{did_you_mean(name, list(rows[0]))}")
    metrics = {k for result in results for k in result.metrics}
    down = (name in metrics and larger_is_better(name, results)) != key.startswith("-")
    having = [row for row in rows if row.get(name) is not None]
    rest = [row for row in rows if row.get(name) is None]
    numbers = all(isinstance(row[name], int | float | Mean) for row in having)
    place = (lambda row: float(row[name])) if numbers else (lambda row: str(row[name]))
    return [*sorted(having, key=place, reverse=down), *rest]
