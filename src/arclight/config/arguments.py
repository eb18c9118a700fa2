"""Parse the `key=value` arguments of the scripts, in the same form as those of `train.py`."""

import sys
from collections.abc import Mapping, Sequence
from typing import TypeVar

from arclight.config.suggest import did_you_mean
from arclight.errors import UserError

Number = TypeVar("Number", int, float)


def arguments(
    usage: str | None, required: Sequence[str] = (), optional: Sequence[str] = ()
) -> dict[str, str]:
    """Returns the command line as a mapping; `--help` prints the usage and ends the program.

    Raises:
        UserError: an argument is not `key=value`, a key is unknown, or a required one is missing.
    """
    words = sys.argv[1:]
    if "--help" in words or "-h" in words:
        print((usage or "").strip())
        sys.exit(0)
    given = {}
    known = [*required, *optional]
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not value:
            raise UserError(
                f"{word} is not of the form key=value; the keys are {', '.join(known)}."
            )
        if key not in known:
            raise UserError(f"{key} is unknown{did_you_mean(key, known)}")
        given[key] = value
    for key in required:
        if key not in given:
            raise UserError(f"{key} must be given: type {key}=VALUE.")
    return given


def number(given: Mapping[str, str], key: str, kind: type[Number], default: Number) -> Number:
    """Returns a non-negative number from the command line.

    Raises:
        UserError: the value is not a number, or negative.
    """
    try:
        value = kind(given.get(key, default))
    except ValueError:
        value = kind(-1)
    if value < 0:
        what = "a whole number" if kind is int else "a number"
        raise UserError(f"{key}={given[key]} should be {what} of 0 or more.")
    return value
