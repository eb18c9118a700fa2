"""A paper as a user runs it: killed, continued, and rebuilt from its artifact."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from arclight.config.compose import hydra_ready
from arclight.paper.compose import settings_of
from arclight.paper.run_paper import run_paper
from arclight.report.results import collect
from tests.conftest import PROJECT, options

pytestmark = pytest.mark.slow

SHORT = (
    *("paper=tiny", "paper.seeds=[0,1]", "deterministic=true", "trainer.max_epochs=3"),
    *("data.limit=256", "paper.workers=2"),
)
TABLES = ("table.md", "table.csv", "table.tex", "claims.md", "claims.csv", "runs.csv")


def paper(*words: str) -> "subprocess.Popen[str]":
    script = str(PROJECT / "scripts" / "paper.py")
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{PROJECT / 'src'}"}
    return subprocess.Popen(
        [sys.executable, script, *words],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def done(*words: str) -> tuple[int, str]:
    process = paper(*words)
    said, _ = process.communicate(timeout=600)
    return process.returncode, said


def saves(folder: Path) -> dict[Path, int]:
    """When each cell's last checkpoint was written; a file that is just replaced is left out."""
    found = {}
    for file in folder.glob("cells/*/*/*/checkpoints/last.ckpt"):
        with suppress(FileNotFoundError):
            found[file] = file.stat().st_mtime_ns
    return found


def test_a_paper_that_is_killed_several_times_has_the_same_tables(tmp_path: Path) -> None:
    calm, wild = tmp_path / "calm", tmp_path / "wild"
    code, said = done(*SHORT, f"paper.dir={calm}")
    assert code in (0, 3), said
    assert "seeds for 80% power" in said.split("cell 1 of 4")[0]
    kills = 0
    for _ in range(5):
        before = saves(wild)
        process = paper(*SHORT, f"paper.dir={wild}")
        while process.poll() is None and saves(wild) == before:
            time.sleep(0.02)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
    assert kills >= 3  # on a fast machine the last ones find nothing left to do
    again, said = done(*SHORT, f"paper.dir={wild}")
    assert again == code, said
    assert len(collect([wild / "cells"])) == 4
    assert {f: (wild / f).read_bytes() for f in TABLES} == {
        f: (calm / f).read_bytes() for f in TABLES
    }

    code, said = done(f"artifact={wild / 'artifact.zip'}", f"output={tmp_path / 'rebuilt'}")
    assert code == again, said
    for file in TABLES:
        assert (tmp_path / "rebuilt" / file).read_bytes() == (wild / file).read_bytes()
    code, said = done(*SHORT, f"paper.dir={wild}", "paper.claims=['narrow test/accuracy=2+-0.5']")
    assert (code, "cell 1 of 4" in said) == (1, False), said  # a false claim; nothing ran again


@pytest.mark.parametrize("name", options("paper"))
def test_every_shipped_paper_has_a_dry_run(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"paper={name}", f"paper.dir={tmp_path}"]
    assert run_paper([*words, "paper.dry_run=true"]) == 0
    with hydra_ready():
        found, _ = settings_of(words)
    count = len(found.all_rows()) * len(found.all_columns()) * len(found.seeds)
    assert found.name == name
    said = capsys.readouterr().out
    assert f"{count} of {count} cells would run" in said
    assert all(claim.text in said for claim in found.all_claims())
    assert not list(tmp_path.iterdir())
