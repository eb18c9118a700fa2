"""What Hydra complains of, as sentences: what was given, what is expected, and what to type."""

import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from arclight.config.options import options
from arclight.config.suggest import did_you_mean, key_meant
from arclight.config.typed import pasted

FOLDS = ("data.fold", "data.folds")  # keys that those data have which can be cross-validated
_MARKS = " '\""
_NO_KEY = re.compile(
    r"Could not (?:override|delete from config\.|append to config\.) '(?P<key>[^']+)'"
)


def in_a_sentence(
    error: Exception, keys: Iterable[str] = (), words: Sequence[str] | None = None
) -> str:
    """Hydra's complaint as what was given, what is expected, and what to type.

    Args:
        keys: of the config, to suggest the one that was meant.
        words: of the command line; None: those of this process.
    """
    text, words = str(error), sys.argv[1:] if words is None else words
    word = getattr(error, "override", None)  # of one that its grammar does not know
    if word:
        return _unreadable(str(word))
    if several := _SEVERAL.search(text):
        key, _, values = several["word"].partition("=")
        return (
            f"{several['word']} are several values: type -m {several['word']} to run each, "
            f"'{key}=[{values}]' for a list, or {pasted(key, values)} with quotes for one text."
        )
    if twice := _TWICE.search(text):
        key = twice["key"] or twice["again"]
        typed = [w.lstrip("+") for w in words if w.startswith(f"+{key}=")]
        return f"{key} is in the config already: type {typed[0] if typed else key + '=NAME'}."
    if missing := _NOT_FOUND.search(text):
        return _unknown_option(missing["group"], missing["option"], error)
    unknown = _NO_KEY.search(text)
    if unknown and unknown["key"] in FOLDS:
        return (
            f"{unknown['key']} is not a key of these data, which are not cut into folds: folds are "
            "for sets whose splits are drawn example by example. Leave it out."
        )
    if unknown:
        return f"{unknown['key']} is not a key of the config{key_meant(unknown['key'], keys)}"
    if group := _NO_GROUP.search(text):
        return f"{group['key']} is not a group of the config{key_meant(group['key'], keys)}"
    cause = f" {error.__cause__}" if error.__cause__ else ""
    return " ".join(line.strip() for line in (text + cause).splitlines() if line.strip())


_SEVERAL = re.compile(r"Ambiguous value for argument '(?P<word>[^']*)'")
_TWICE = re.compile(
    r"Multiple values for (?P<key>[\w/@]+)\. To override"
    r"|(?P<again>[\w/@]+) appears more than once in the final defaults list"
)
_NOT_FOUND = re.compile(r"Could not find '(?P<group>[^']*)/(?P<option>[^'/]*)'")
_NO_GROUP = re.compile(r"Could not override '?(?P<key>[\w/@]+)'?")


def culprit(error: Exception, words: Sequence[str]) -> str | None:
    """The word of which Hydra complains, if it is one of these."""
    text = str(error)
    given = getattr(error, "override", None)
    if given or (several := _SEVERAL.search(text)):
        word = str(given) if given else several["word"]  # type: ignore[index]
        return word if word in words else None
    found = _NOT_FOUND.search(text)
    key = f"{found['group']}" if found else ""
    for pattern in (_TWICE, _NO_KEY, _NO_GROUP):
        if not key and (match := pattern.search(text)):
            key = match["key"] or match["again"]
    named = [w for w in words if key and re.split("[=@]", w.lstrip("+~"))[0] == key.split("@")[0]]
    return named[-1] if named else None


def _unreadable(word: str) -> str:
    key, equals, value = word.partition("=")
    if not equals or not key.strip("+~ ") or not value.strip():
        return f"{word} is not of the form KEY=VALUE, without spaces around the sign."
    if key != key.strip():
        said = f"{word} is not of the form KEY=VALUE, without spaces around the sign: type "
        return f"{said}{key.strip()}={value.strip()}."
    return f"{word} cannot be read: type {pasted(key, value.strip(_MARKS))} with all its quotes."


def _unknown_option(group: str, option: str, error: Any) -> str:
    found = [o for o in (getattr(error, "options", None) or []) if not o.startswith("_")]
    found = found or options(group)
    close = did_you_mean(option, found, f"{group}=")
    if close.startswith(": did you mean"):
        close += f" The choices are {', '.join(sorted(found))}."
    else:
        close = f": the choices are {', '.join(sorted(found))}."
    return f"{group}={option} is not there{close}"
