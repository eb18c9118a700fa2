"""Write values as they are typed on a command line, so that suggestions can be pasted."""

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def as_typed(value: Any) -> str:
    """Returns the text that Hydra parses back to this value."""
    if isinstance(value, str):
        plain = re.fullmatch(r"[A-Za-z_/.][\w./-]*", value, re.ASCII)
        if plain and value.lower() not in ("null", "true", "false", "nan", "inf"):
            return value
        if "'" in value and not set('"\\') & set(value):
            return f'"{value}"'
        # Backslashes are special only before a quote; trailing ones precede the closing quote.
        return "'" + re.sub(r"(\\*)('|$)", _escaped, value) + "'"
    if isinstance(value, list):
        return f"[{','.join(map(as_typed, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{k}:{as_typed(v)}' for k, v in value.items())}}}"
    return repr(value) if isinstance(value, float) else json.dumps(value)


def _escaped(found: re.Match[str]) -> str:
    return found[1] * 2 + ("\\'" if found[2] else "")


def shown(value: Any) -> str:
    """Returns a value as a config writes it, for a sentence: `null`, `true`, unquoted text."""
    if isinstance(value, str):
        return value if value.isprintable() else ascii(value)[1:-1]
    return as_typed(value)


def pasted(key: str, value: Any) -> str:
    """Returns `KEY=VALUE`, quoted for a shell."""
    text = as_typed(value)
    if text.startswith("'") and not set('"\\') & set(value):  # the shell needs the single quotes
        text = f'"{value}"'
    return shlex.quote(f"{key}={text}")


def not_key_value(word: str, words: Sequence[str], key_of_runs: str = "resume") -> str:
    """Says what to type in place of a word without `KEY=VALUE`, by the words around it.

    Args:
        word: the faulty word.
        words: the command line.
        key_of_runs: the key that takes a run directory.
    """
    start = f"{word} is not of the form KEY=VALUE"
    at = list(words).index(word) if word in words else len(words)
    before, after = "".join(words[:at][-1:]), [*words[at + 1 : at + 3], "", ""]
    if word.startswith("=") and before.isidentifier() and (value := word[1:] or after[0]):
        return f"{start}: type {before}={value}, without spaces."
    if after[0].startswith("=") and (value := after[0][1:] or after[1]):
        return f"{start}: type {word}={value}, without spaces."
    if word.isidentifier() and after[0] and not re.search("=|^-", after[0]):  # KEY VALUE
        return f"{start}: type {word}={shlex.quote(after[0])}."
    if "=" in before and not word.startswith(("=", "+", "~")):  # KEY=VALUE with spaces
        key, _, value = before.partition("=")
        return f"{start}: if it belongs to {key}, type {pasted(key, f'{value} {word}')}."
    if Path(word, "config.yaml").is_file():
        return f"{start}: type {pasted(key_of_runs, word)}."
    return f"{start}, without spaces around the equals sign."
