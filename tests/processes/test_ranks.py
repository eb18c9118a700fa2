"""How the launcher of several processes handles their failures."""

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
    ("rank", "printed"), [(0, ""), (1, "error: no room; type less (process 1)\n")]
)
def test_user_error_of_another_rank_is_printed(
    run: RunDirectory, capsys: pytest.CaptureFixture[str], rank: int, printed: str
) -> None:
    assert _failed(run, rank, ended(EXIT_USER_ERROR, "no room; type less")) == EXIT_USER_ERROR
    assert capsys.readouterr().err == printed  # rank 0 prints its own errors
    assert run.summary["error"] == "no room; type less"


def test_process_ended_by_a_signal_interrupts_the_run(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _failed(run, 1, ended(143, "")) == 143
    assert run.status == "interrupted"
    assert f"resume={run.path} continues it" in capsys.readouterr().out


def test_only_the_first_node_writes_the_status(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCLIGHT_NODE", "1")
    assert _failed(run, 1, ended(1, "Traceback\nValueError: x")) == 1
    assert run.status == "created"


def test_a_single_node_writes_the_status_whatever_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"trainer": {"num_nodes": 1}}
    run = create(tmp_path / "alone", tmp_path, "run", config, [], {})
    monkeypatch.setenv("SLURM_NODEID", "1")  # a job on several nodes, with a run on each
    assert _failed(run, 0, ended(1, "Traceback\nValueError: x")) == 1
    assert run.status == "failed"


@pytest.fixture
def launched(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Launches the run with a fake elastic launcher that calls the given function."""

    def go(does: Any, processes: int = 2) -> int:
        monkeypatch.setattr("arclight.processes.ranks.elastic_launch", lambda *_: lambda *_: does())
        monkeypatch.setattr("arclight.processes.ranks.exit_on_signals", lambda: None)
        return launch(run, processes, nodes=2)

    return go


@pytest.mark.parametrize("kind", [RendezvousTimeoutError, DistNetworkError])
def test_nodes_that_cannot_connect_fail_with_a_sentence(
    launched: Any, run: RunDirectory, capsys: pytest.CaptureFixture[str], kind: type[Exception]
) -> None:
    def does() -> None:
        raise kind("no answer\nException raised from ...")

    assert launched(does) == EXIT_USER_ERROR
    assert run.status == "failed"
    errors = capsys.readouterr().err
    assert "could not connect, or lost their connection, at localhost:0 (no answer): " in errors
    assert errors.strip() == f"error: {run.summary['error']}"


def test_finished_run_stays_finished_when_nodes_lose_their_connection(
    launched: Any, run: RunDirectory
) -> None:
    def does() -> None:
        run.update_summary(status="finished")
        raise RendezvousTimeoutError

    assert launched(does) == 0
    assert run.status == "finished"


def test_other_errors_of_the_launcher_fail_the_run(launched: Any, run: RunDirectory) -> None:
    def does() -> None:
        raise RuntimeError("no more processes")

    with pytest.raises(RuntimeError):
        launched(does)
    assert run.summary["error"] == "RuntimeError: no more processes"


def test_launch_restores_the_environment(launched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("arclight.processes.ranks.cores", lambda: 8)
    before, threads = dict(os.environ), []
    for processes in (4, 2):
        launched(lambda: threads.append(os.environ["OMP_NUM_THREADS"]), processes)
        assert dict(os.environ) == before
    assert threads == ["2", "4"]


def test_processes_do_not_import_from_the_working_directory(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "lightning.py").write_text("raise SystemExit(3)")
    (tmp_path / "beside.py").write_text("FOUND = True")
    monkeypatch.chdir(tmp_path / "downloads")
    monkeypatch.syspath_prepend(tmp_path)
    origins: list[str] = []

    def elastic(config: Any, *_: Any) -> Any:
        def started(*arguments: str) -> None:
            options = arguments[: arguments.index("-m")]
            code = "import beside, importlib.util as i; print(i.find_spec('lightning').origin)"
            command = [sys.executable, *options, "-c", code]
            origins.append(subprocess.run(command, capture_output=True, text=True).stdout)

        return started

    monkeypatch.setattr("arclight.processes.ranks.elastic_launch", elastic)
    monkeypatch.setattr("arclight.processes.ranks.exit_on_signals", lambda: None)
    launch(run, processes=2, nodes=1)
    assert origins[0].strip().endswith("site-packages/lightning/__init__.py")
