"""Text from outside as cells of tables, harmless in spreadsheets and terminals."""

from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""With what a spreadsheet takes a cell for a formula, which may run commands (OWASP, 2023)."""


def cell(value: Any) -> Any:
    """The value as a cell of a CSV file: an apostrophe before what would be a formula."""
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if text.startswith(FORMULA) and not _is_number(text) else text


def visible(text: str) -> str:
    """The text with its control characters written out, such as `\\x1b`; lines stay lines."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _written(c) for c in text)


def _written(character: str) -> str:
    """Bytes that are no text, as file names may have, stay as they are."""
    is_byte = "\udc80" <= character <= "\udcff"
    return character if is_byte else ascii(character)[1:-1]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
