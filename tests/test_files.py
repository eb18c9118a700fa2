"""A file with its final name is complete."""

from pathlib import Path
from typing import IO

import pytest

from arclight.files import remove_leftovers, write_json, write_whole
from arclight.reading import read_json


def test_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_whole(target, lambda file: file.write(b"old"))

    def fail(file: IO[bytes]) -> None:
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(target, fail)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_json_is_read_as_written(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": [1, None, "é"]})
    assert read_json(tmp_path / "a.json") == {"x": [1, None, "é"]}


def test_only_leftovers_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".last.ckpt.77.part").write_text("")
    (tmp_path / ".keep").write_text("")
    remove_leftovers(tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == [".keep"]
