"""File systems of clusters: some have no locks, and on some each node sees its own only."""

import errno
import os
import threading
import time
from pathlib import Path

import pytest

from arclight.errors import UserError
from arclight.files import NoLocksError
from arclight.processes.nodes import wait_for
from arclight.run_directory import RunDirectory, create, newest_unfinished


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
def test_whether_it_is_being_executed_is_not_guessed(run: RunDirectory, tmp_path: Path) -> None:
    with run.held():
        pass
    with pytest.raises(NoLocksError, match="the mount option flock"):
        newest_unfinished(tmp_path)


@pytest.mark.usefixtures("no_locks")
def test_a_search_that_cannot_be_locked_is_refused(tmp_path: Path) -> None:
    from arclight.search.settings import Objective, Search
    from arclight.search.study import Study

    settings = Search("s", str(tmp_path), space={"seed": [1]}, n_trials=1)
    with pytest.raises(NoLocksError, match="the mount option flock"):
        Study(settings, [], [Objective("val/loss", "minimize")], tmp_path)


def test_other_nodes_need_not_see_the_first_ones_lock(run: RunDirectory) -> None:
    run.update_summary(status="interrupted")
    with pytest.raises(UserError, match="has not been begun"):
        wait_for(run.path, seconds=0.1)

    def begin() -> None:
        time.sleep(0.3)
        run.update_summary(status="running")

    threading.Thread(target=begin).start()
    assert wait_for(run.path, seconds=60).path == run.path
