"""Parse the `key=value` arguments of the scripts, in the same form as those of `train.py`."""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import TypeVar

from arclight.config.help.completion import complete
from arclight.config.suggest import did_you_mean
from arclight.config.typed import not_key_value
from arclight.errors import UserError

Number = TypeVar("Number", int, float)


def arguments(
    usage: str | None, required: Sequence[str] = (), optional: Sequence[str] = ()
) -> dict[str, str]:
    """Returns the command line as a mapping, without keys that are null.

    `--help` prints the usage, `--cfg job` prints the mapping, and a shell may ask for completions:
    each of these ends the program.

    Raises:
        UserError: an argument is not `key=value`, a key is unknown, or a required one is missing.
    """
    known = [*required, *optional]
    complete(known)
    words = sys.argv[1:]
    show_help(usage, words)
    words, only_shown = without_cfg(words)
    given = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            said = not_key_value(word, words, known[0]).rstrip(".")
            raise UserError(f"{said}; the keys are {', '.join(known)}.")
        if key not in known:
            raise UserError(f"{key} is unknown{did_you_mean(key, known)}")
        if not value.strip(" \"'"):
            raise UserError(f"{key} is empty: type {key}=VALUE, or leave it out.")
        given[key] = plain_value(value)
    given = {key: value for key, value in given.items() if value != "null"}
    if only_shown:
        import yaml

        print(yaml.safe_dump(given, sort_keys=False, allow_unicode=True), end="")
        sys.exit(0)
    for key in required:
        if key not in given:
            value = "runs/NAME" if key == "run" else "VALUE"
            raise UserError(f"{key} must be given: type {key}={value}.")
    return given


def show_help(usage: str | None, words: Sequence[str]) -> None:
    """Prints the usage and ends the program, if the words ask for it."""
    if "--help" in words or "-h" in words:
        print((usage or "").strip())
        sys.exit(0)


def without_cfg(words: Sequence[str]) -> tuple[list[str], bool]:
    """The words without `--cfg job`, and whether it was among them.

    Raises:
        UserError: another part of the config is asked for.
    """
    left, flagged = list(words), False
    for flag in ("--cfg", "-c"):
        while flag in left:
            at, flagged = left.index(flag), True
            if left[at + 1 : at + 2] != ["job"]:
                raise UserError(f"{' '.join(left[at : at + 2])}: type --cfg job.")
            del left[at : at + 2]
    return left, flagged


def plain_value(value: str) -> str:
    """Removes the quotes that Hydra needs around some values."""
    quote, inner = value[:1], value[1:-1]
    if len(value) < 2 or quote not in ("'", '"') or value[-1] != quote:
        return value
    if re.search(rf"(?<!\\){quote}", inner):  # several texts, each in its own quotes
        return value
    return re.sub(rf"\\({quote}|\\(?=\\*(?:{quote}|$)))", r"\1", inner)


def listed(given: Mapping[str, str], key: str) -> list[str]:
    """The words of a list, `key=a,b` or `key=[a,b]`; none where the key is not given."""
    value = given.get(key, "").strip()
    if value.startswith("[") and value.endswith("]"):
        value = value[1:-1]
    return [plain_value(word.strip()) for word in value.split(",") if word.strip()]


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
