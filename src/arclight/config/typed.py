"""Write values as they are typed on a command line, so that suggestions can be pasted."""

import json
import re
import shlex
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
