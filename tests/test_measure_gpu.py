"""The GPU measurements, rehearsed on a CPU: they continue after failures and stop in time."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import measure_gpu  # type: ignore[import-not-found]

    return measure_gpu


def test_continues_after_a_failure_and_stops_commands_that_take_too_long(
    script: Any, tmp_path: Path
) -> None:
    fails = script.Row("tests", "fails", 9, command=("-c", "raise SystemExit('no card')"))
    hangs = script.Row("tests", "hangs", 9, command=("-c", "import time; time.sleep(60)"))
    works = script.Row("tests", "works", 9, command=("-c", "print('a result')"))
    results = [
        script.executed(row, script.in_full(row, tmp_path, None, False), limit, tmp_path)
        for row, limit in ((fails, 9), (hangs, 0.5), (works, 9))
    ]
    assert [r.status for r in results] == ["failed", "timed out", "done"]
    assert [r.tail.strip() for r in results] == ["no card", "", "a result"]


def test_every_row_is_a_valid_command(script: Any, tmp_path: Path) -> None:
    for row in script.ROWS:
        if row.words:
            command = script.in_full(row, tmp_path, "data", False)
            assert command[1].endswith("train.py")
            assert any(word.startswith("run_dir=") for word in command)


@pytest.mark.slow
def test_rehearsal_trains_a_small_version_of_every_recipe(tmp_path: Path) -> None:
    text = tmp_path / "tinyshakespeare" / "input.txt"
    text.parent.mkdir()
    text.write_text("To be, or not to be, that is the question. " * 400)
    command = [sys.executable, SCRIPTS / "measure_gpu.py", "rehearse=true", f"data={tmp_path}"]
    done = subprocess.run(
        [*command, f"output={tmp_path}", "part=scores"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads((tmp_path / "results-scores.json").read_text())["rows"]
    assert {row["status"] for row in rows} == {"done"}
    assert all(row["found"]["steps"] == 2 for row in rows)
