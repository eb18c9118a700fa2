"""Damaged and untrusted files are rejected with one sentence."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from arclight.reading import (
    DamagedFileError,
    read_json,
    read_manifest,
    read_mapping,
    read_summary,
    read_yaml,
)

BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 9)
)
YAMLS = {
    "aliases": BOMB,
    "merges": MERGES,
    "a cycle": "a: &a [*a]",
    "an unknown alias": "a: *b",
    "deep lists": "[" * 100_000,
    "deep mappings": "{a: " * 50_000,
    "a long list": "[" + "1," * 700_000 + "1]",
    "a large text": f"a: {'x' * 3_000_000}",
    "a tag": "a: !!python/object/apply:os.system ['true']",
    "no YAML": "a: [1",
    "a mapping as key": "? {a: 1}\n: 2",
    "a date that is none": "a: 2026-99-99",
    "a list": "- a",
    "a number as key": "1: a",
    "empty": " \n",
    "control characters": "a: \x00",
}
JSONS = {
    "deep lists": "[" * 100_000,
    "a long list": "[" + "1," * 9_000_000 + "1]",
    "cut": '{"status": "fin',
    "a list": "[1]",
    "empty": "",
    "a number": "3",
    "a huge number": f'{{"a": {"9" * 5000}}}',
}


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *(pytest.param(read_mapping, text, id=f"YAML: {what}") for what, text in YAMLS.items()),
        *(pytest.param(read_json, text, id=f"JSON: {what}") for what, text in JSONS.items()),
    ],
)
def test_bad_file_is_rejected_before_it_fills_the_memory(
    tmp_path: Path, read: Callable[[Path], Any], text: str
) -> None:
    file = tmp_path / "file"
    file.write_text(text)
    tracemalloc.start()
    try:
        with pytest.raises(DamagedFileError) as error:
            read(file)
        assert tracemalloc.get_traced_memory()[1] < 500e6
    finally:
        tracemalloc.stop()
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("read", [read_yaml, read_json])
def test_folders_missing_files_and_bytes_are_rejected(
    tmp_path: Path, read: Callable[[Path], Any]
) -> None:
    for place in (tmp_path, tmp_path / "none", tmp_path / "bytes"):
        (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(DamagedFileError, match=place.name):
            read(place)


def test_valid_config_is_read(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("a: &a {b: [1, x]}\nc: *a\nd: {<<: *a, e: null}\n")
    inner = {"b": [1, "x"]}
    assert read_mapping(file) == {"a": inner, "c": inner, "d": {**inner, "e": None}}


SUMMARIES = {
    "parameters": [1],
    "epochs": {"a": 1},
    "training_seconds": "x",
    "seconds": 10**400,
    "metrics": {"val/loss": 10**400},
}


@pytest.mark.parametrize(("key", "value"), SUMMARIES.items(), ids=SUMMARIES)
def test_numbers_of_a_summary_are_numbers(tmp_path: Path, key: str, value: Any) -> None:
    file = tmp_path / "summary.json"
    file.write_text(json.dumps({"status": "finished", key: value}))
    with pytest.raises(DamagedFileError, match=r"summary\.json is damaged: its "):
        read_summary(file)


@pytest.mark.parametrize("later", [1, {}, {"code": {}}, {"code": [1], "time": "now"}])
def test_entries_of_a_manifest_are_complete(tmp_path: Path, later: Any) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps({"run_id": "a", "continued": [later]}))
    with pytest.raises(DamagedFileError, match=r"manifest\.json is damaged: it"):
        read_manifest(file)
