"""File systems of clusters: some have no locks, on others each node sees only its own locks."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from arclight.errors import UserError
from arclight.files import NoLocksError
from arclight.processes.nodes import wait_for
from arclight.run_directory import RunDirectory, create, unfinished


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return create(tmp_path / "run", tmp_path, "run", {}, [], {})


@pytest.fixture(params=[errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr("fcntl.flock", flock)


@pytest.mark.usefixtures("no_locks")
def test_a_run_that_cannot_be_locked_is_executed_with_a_warning(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    with run.held():
        pass
    said = capsys.readouterr().out
    assert said.startswith(f"warning: {run.path}/.lock cannot be locked (")
    assert "the mount option flock" in said


@pytest.mark.usefixtures("no_locks")
def test_an_unknown_lock_state_is_not_guessed(run: RunDirectory, tmp_path: Path) -> None:
    with run.held():
        pass
    with pytest.raises(NoLocksError, match="the mount option flock"):
        next(unfinished(tmp_path))


@pytest.mark.usefixtures("no_locks")
def test_a_search_that_cannot_be_locked_is_rejected(tmp_path: Path) -> None:
    from arclight.search.settings import Objective, Search
    from arclight.search.study import Study

    settings = Search("s", str(tmp_path), space={"seed": [1]}, n_trials=1)
    with pytest.raises(NoLocksError, match="the mount option flock"):
        Study(settings, [], [Objective("val/loss", "minimize")], tmp_path)


def test_other_nodes_need_not_see_the_first_ones_lock(run: RunDirectory) -> None:
    run.update_summary(status="interrupted")
    with pytest.raises(UserError, match="first node has not started"):
        wait_for(run.path, seconds=0.1)

    def begin() -> None:
        time.sleep(0.3)
        run.update_summary(status="running")

    threading.Thread(target=begin).start()
    assert wait_for(run.path, seconds=60).path == run.path


ORPHAN = """
import os, signal, sys, time
from pathlib import Path
from arclight.run_directory import RunDirectory
with RunDirectory(Path(sys.argv[1])).held():
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        time.sleep(60)
    time.sleep(3)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_worker_that_outlives_a_killed_run_does_not_hold_it(run: RunDirectory) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ORPHAN, str(run.path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        orphan = int(process.stdout.readline())
        with pytest.raises(UserError, match="by another process"), run.held():
            pass  # the worker has closed its name of the lock, not the run's
        assert process.wait(timeout=30) == -signal.SIGKILL
        os.kill(orphan, 0)  # it lives
        with run.held():
            pass
        os.kill(orphan, signal.SIGKILL)
