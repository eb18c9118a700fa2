"""The words of a command line, as Hydra can read them."""

from collections.abc import Sequence

from arclight.config.best_of import key_of
from arclight.config.layout import NAMED
from arclight.config.options import options
from arclight.errors import UserError


class WordsError(UserError):
    """Words of a command line cannot be read; its message has a line for each.

    Attributes:
        rest: the words that can.
    """

    def __init__(self, faults: Sequence[str], rest: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.rest = list(rest)


_SPECIAL = set("\"'[]{}(),\\")  # of a value that is more than a name, or quoted already


def quoted(words: Sequence[str]) -> list[str]:
    """The same, with quotes around values of letters that Hydra reads only so: `data.path=Töne`.

    Raises:
        WordsError: a word has no key, or chooses a config group by what is no name.
    """
    faults = {word: fault for word in words if (fault := _fault(word))}
    readable = [_quoted(word) for word in words if word not in faults]
    if faults:
        raise WordsError(list(faults.values()), readable)
    return readable


def _fault(word: str) -> str | None:
    if key_of(word) == "" and not word.startswith("-"):  # also +=3, ~ and ++
        return f"{word} is not of the form KEY=VALUE."
    if word.endswith("=None") and not word.startswith("-"):
        return f"{word} is the text None: a config writes null, so type {word[:-4]}null."
    if not word.startswith(("-", "~")) and not _is_choice(word):
        return _no_choice(word)
    return None


def _is_choice(word: str) -> bool:
    """Whether the value is a name, or names, if the key is a config group."""
    key, equals, value = word.partition("=")
    value = value.strip(" '\"")
    if not equals or not (value in ("", "null") or value[0] in "[{" or ".." in value):
        return True
    group = key_of(word)
    known = options(group) if key.lstrip("+").isidentifier() else []
    if known and value.startswith("[") and group not in NAMED:
        return False
    names = value.strip("[]").split(",") if value.startswith("[") else [value]
    return not known or all(name.strip(" '\"") in known for name in names)


def _no_choice(word: str) -> str:
    group = key_of(word)
    said = f"{word} is not one of its choices: type {group}=NAME: the choices are "
    said += f"{', '.join(options(group))}."
    return said + (f" {group}.NAME=null leaves one of them out." if group in NAMED else "")


def _quoted(word: str) -> str:
    key, equals, value = word.partition("=")
    if not equals or word.startswith("-") or value.isascii() or _SPECIAL & set(value):
        return word
    return f"{key}='{value}'"
