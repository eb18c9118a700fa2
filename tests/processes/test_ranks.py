"""What the launcher of several processes makes of their ends."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch.distributed import DistNetworkError
from torch.distributed.elastic.rendezvous.api import RendezvousTimeoutError

from arclight.config.entry import EXIT_USER_ERROR
from arclight.processes.ranks import _failed, launch
from arclight.run_directory import RunDirectory, create

CONFIG = {"trainer": {"num_nodes": 2}}


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return create(tmp_path / "run", tmp_path, "run", CONFIG, [], {"run_id": "0"})


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


def test_the_only_node_keeps_them_whatever_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"trainer": {"num_nodes": 1}}
    run = create(tmp_path / "alone", tmp_path, "run", config, [], {})
    monkeypatch.setenv("SLURM_NODEID", "1")  # of a job on several nodes, with a run on each
    assert _failed(run, 0, ended(1, "Traceback\nValueError: x")) == 1
    assert run.status == "failed"


@pytest.fixture
def launched(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Launches the run with a launcher of torch's that does what it is given."""

    def go(does: Any, processes: int = 2) -> int:
        monkeypatch.setattr("arclight.processes.ranks.elastic_launch", lambda *_: lambda *_: does())
        monkeypatch.setattr("arclight.processes.ranks.exit_on_signals", lambda: None)
        return launch(run, processes, nodes=2)

    return go


@pytest.mark.parametrize("kind", [RendezvousTimeoutError, DistNetworkError])
def test_nodes_that_do_not_meet_are_a_sentence_and_a_failure(
    launched: Any, run: RunDirectory, capsys: pytest.CaptureFixture[str], kind: type[Exception]
) -> None:
    def does() -> None:
        raise kind("nobody there\nException raised from ...")

    assert launched(does) == EXIT_USER_ERROR
    assert run.status == "failed"
    said = capsys.readouterr().err
    assert "could not meet, or lost each other, at localhost:0 (nobody there): " in said
    assert said.strip() == f"error: {run.summary['error']}"


def test_a_run_that_was_over_when_its_nodes_lost_each_other_stays_so(
    launched: Any, run: RunDirectory
) -> None:
    def does() -> None:
        run.update_summary(status="finished")
        raise RendezvousTimeoutError

    assert launched(does) == 0
    assert run.status == "finished"


def test_any_other_fault_of_the_launcher_is_a_failure(launched: Any, run: RunDirectory) -> None:
    def does() -> None:
        raise RuntimeError("no more processes")

    with pytest.raises(RuntimeError):
        launched(does)
    assert run.summary["error"] == "RuntimeError: no more processes"


def test_a_launch_leaves_nothing_in_the_environment_of_the_next(
    launched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("arclight.processes.ranks.cores", lambda: 8)
    before, threads = dict(os.environ), []
    for processes in (4, 2):
        launched(lambda: threads.append(os.environ["OMP_NUM_THREADS"]), processes)
        assert dict(os.environ) == before
    assert threads == ["2", "4"]


def test_processes_import_what_the_command_does_and_nothing_of_the_working_directory(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "lightning.py").write_text("raise SystemExit(3)")
    (tmp_path / "beside.py").write_text("FOUND = True")
    monkeypatch.chdir(tmp_path / "downloads")
    monkeypatch.syspath_prepend(tmp_path)
    asked: list[str] = []

    def elastic(config: Any, *_: Any) -> Any:
        def started(*words: str) -> None:
            options = words[: words.index("-m")]
            code = "import beside, importlib.util as i; print(i.find_spec('lightning').origin)"
            command = [sys.executable, *options, "-c", code]
            asked.append(subprocess.run(command, capture_output=True, text=True).stdout)

        return started

    monkeypatch.setattr("arclight.processes.ranks.elastic_launch", elastic)
    monkeypatch.setattr("arclight.processes.ranks.exit_on_signals", lambda: None)
    launch(run, processes=2, nodes=1)
    assert asked[0].strip().endswith("site-packages/lightning/__init__.py")
