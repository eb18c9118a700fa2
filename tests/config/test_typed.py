"""Suggested overrides work when they are pasted."""

import shlex
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from arclight.config.typed import as_typed, pasted, shown

VALUES: list[Any] = [
    *("a", "/d/it's", '/d/a "b"', "/d/a,b", "a b", "a=b", "null", "1", "", "$x", "`x`", "a\\b"),
    *("{a}", "[a]", "(a", "#a", "~/a", "Töne", "a:b", "a'\"b", 'it\'s \\ "x"', "${a}x!"),
    *(1, 1.5, 1e-30, True, None, [1, "a b"], {"a": "it's"}),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_pasted_value_is_parsed_back(value: Any) -> None:
    arguments = shlex.split(pasted("key", value))
    assert len(arguments) == 1
    assert arguments[0].startswith("key=")
    assert OverridesParser.create().parse_override(arguments[0]).value() == value
    assert OverridesParser.create().parse_override(f"key={as_typed(value)}").value() == value


def test_shown_writes_values_as_a_config_does() -> None:
    assert [shown(v) for v in (None, True, "a b", [1, None])] == ["null", "true", "a b", "[1,null]"]
    assert shown("\x1b[2J\n") == r"\x1b[2J\n"
