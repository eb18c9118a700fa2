"""`.env` is read, and its values are masked."""

import os
from pathlib import Path

import pytest

from arclight.dotenv import read_dotenv
from arclight.masking import masked


def test_variables_that_are_not_set_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DOT_A", "DOT_B", "DOT_C"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("DOT_D", "mine")
    file = tmp_path / ".env"
    text = "# DOT_C=3\n\nDOT_A=abc-123-456\nexport DOT_B = 'x y'\nno line\nDOT_D=theirs\n"
    file.write_text(text)
    read_dotenv(file)
    assert [os.environ.get(f"DOT_{c}") for c in "ABCD"] == ["abc-123-456", "x y", None, "mine"]
    assert masked("a abc-123-456") == "a ${oc.env:DOT_A}"
    assert file.read_text() == text
    read_dotenv(tmp_path / "none")
