"""Make untrusted text safe for cells of spreadsheets and for terminals."""

from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Characters that start a formula in a spreadsheet, which may run commands (OWASP, 2023)."""


def cell(value: Any) -> Any:
    """Returns the value as a cell of a CSV file, with an apostrophe before a formula."""
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if text.startswith(FORMULA) and not _is_number(text) else text


def visible(text: str) -> str:
    r"""Returns the text with escaped control characters, such as `\x1b`, except line breaks."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _written(c) for c in text)


def _written(character: str) -> str:
    """Escapes a character; undecodable bytes, which file names may contain, are kept."""
    is_byte = "\udc80" <= character <= "\udcff"
    return character if is_byte else ascii(character)[1:-1]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
