"""The words of a command line, as Hydra can read them."""

from collections.abc import Sequence

_SPECIAL = set("\"'[]{}(),\\")  # of a value that is more than a name, or quoted already


def quoted(words: Sequence[str]) -> list[str]:
    """The same, with quotes around values of letters that Hydra reads only so: `data.path=Töne`."""
    return [_quoted(word) for word in words]


def _quoted(word: str) -> str:
    key, equals, value = word.partition("=")
    if not equals or word.startswith("-") or value.isascii() or _SPECIAL & set(value):
        return word
    return f"{key}='{value}'"
