"""What the launcher of several processes makes of their ends."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from arclight.config.entry import EXIT_USER_ERROR
from arclight.run.directory import RunDirectory, create
from arclight.run.ranks import _failed


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return create(tmp_path / "run", tmp_path, "run", {}, [], {})


def ended(code: int, message: str) -> Any:
    return SimpleNamespace(exitcode=code, message=message)


@pytest.mark.parametrize(
    ("rank", "said"), [(0, ""), (1, "error: no room; type less (process 1)\n")]
)
def test_a_fault_that_only_another_process_met_is_said(
    run: RunDirectory, capsys: pytest.CaptureFixture[str], rank: int, said: str
) -> None:
    assert _failed(run, rank, ended(EXIT_USER_ERROR, "no room; type less")) == EXIT_USER_ERROR
    assert capsys.readouterr().err == said  # the first process says its own
    assert run.summary["error"] == "no room; type less"


def test_a_process_that_a_signal_ended_interrupts_the_run(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _failed(run, 1, ended(143, "")) == 143
    assert run.status == "interrupted"
    assert f"resume={run.path} continues it" in capsys.readouterr().out


def test_the_records_are_kept_by_the_first_node(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCLIGHT_NODE", "1")
    assert _failed(run, 1, ended(1, "Traceback\nValueError: x")) == 1
    assert run.status == "created"
