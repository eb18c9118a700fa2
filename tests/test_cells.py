"""Cells are safe in spreadsheets and terminals."""

import csv
from io import StringIO

import pytest

from arclight.cells import cell, visible
from arclight.report.tables import FORMATS


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1+1", "-a", "@SUM(A1)", "\t=1", "\r=1"])
def test_formulas_are_escaped(text: str) -> None:
    assert str(cell(text))[0] in "'\\"
    rows = list(csv.reader(StringIO(FORMATS["csv"]([{"name": text}]))))
    assert rows[1][0][0] not in "=+-@\t\r"


@pytest.mark.parametrize("value", ["-0.5", "+3", "-1e-3", "a=b", "", "Töne", "a\nb", -0.5, None, 3])
def test_other_values_are_unchanged(value: object) -> None:
    assert cell(value) == value


def test_control_characters_are_escaped() -> None:
    assert visible("\x1b[2Ja\u202eb\x00") == r"\x1b[2Ja\u202eb\x00"
    assert visible("a\nb") == "a\nb"
    assert visible("\udcff") == "\udcff"
    for write in FORMATS.values():
        assert "\x1b" not in write([{"a\x1b[2J": "\x1b[2J"}])
