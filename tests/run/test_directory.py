"""A run directory is created atomically and belongs to one process at a time."""

import fcntl
import threading
from pathlib import Path

import pytest

from arclight.errors import UserError
from arclight.processes.nodes import wait_for
from arclight.run_directory import LOCK, RunDirectory, create, open_run, unfinished


def make(root: Path, path: Path | None = None) -> RunDirectory:
    return create(path, root, "cnn-digits", {"seed": 0}, ["seed=0"], {"command": "train.py"})


def test_a_new_directory_holds_config_overrides_manifest_and_summary(tmp_path: Path) -> None:
    run = make(tmp_path)
    assert run.config == {"seed": 0}
    assert (run.path / "overrides.yaml").read_text() == "- seed=0\n"
    assert run.manifest["command"] == "train.py"
    assert run.status == "created"


def test_runs_that_start_in_the_same_instant_get_directories_of_their_own(tmp_path: Path) -> None:
    runs: list[RunDirectory] = []
    threads = [threading.Thread(target=lambda: runs.append(make(tmp_path))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({run.path for run in runs}) == 20
    assert len({run.manifest["run_id"] for run in runs}) == 20
    assert not list(tmp_path.glob(".*"))


def test_a_folder_with_other_files_is_not_taken(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.tex").write_text("\\begin{document}")
    with pytest.raises(UserError, match="already has files"):
        make(tmp_path, folder)
    assert [f.name for f in tmp_path.iterdir()] == ["mine"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be created in"):
        make(tmp_path / "file")


def test_one_process_at_a_time(tmp_path: Path) -> None:
    run = make(tmp_path)
    with run.held():
        assert run.is_held
        with pytest.raises(UserError, match="being executed by another process"), run.held():
            pass
    assert not run.is_held


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    run = make(tmp_path)
    leftovers = [run.path / ".summary.json.1.part", run.checkpoints / ".last.ckpt.1.part"]
    for file in leftovers:
        file.write_text("half")
    with run.held():
        assert not any(file.exists() for file in leftovers)


def test_a_folder_that_is_not_a_run_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        open_run(tmp_path / "nowhere")
    with pytest.raises(UserError, match="is not a run directory"):
        open_run(tmp_path)


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("model", r"model is not a folder: did you mean runs/model\?"),
        ("runs/modle", r"runs/modle is not a folder: did you mean runs/model\?"),
        ("other", r"other is not a folder in .*; type a run directory, such as runs/NAME"),
        ("runs/model/checkpoints/a.ckpt", r"is a file, not a folder; type its run directory, runs"),
    ],
)
def test_the_run_that_was_meant_is_named(
    typed: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(Path("runs")).path.rename("runs/model")
    Path("runs/model/checkpoints").mkdir(exist_ok=True)
    Path("runs/model/checkpoints/a.ckpt").touch()
    with pytest.raises(UserError, match=sentence):
        open_run(typed)


def test_unfinished_runs_are_found_newest_first(tmp_path: Path) -> None:
    assert not list(unfinished(tmp_path))
    older, newer, finished = make(tmp_path), make(tmp_path), make(tmp_path)
    older.update_summary(status="interrupted")
    newer.update_summary(status="interrupted")
    finished.update_summary(status="finished")
    assert list(unfinished(tmp_path)) == [newer, older]
    with newer.held():
        assert list(unfinished(tmp_path)) == [older]


def test_neither_a_run_that_is_being_made_nor_a_trial_is_unfinished(tmp_path: Path) -> None:
    for name, config in ((".x-1.new", {}), ("search/trials/0000", {"trial": {"number": 0}})):
        create(tmp_path / name, tmp_path, "run", config, [], {})
    assert not list(unfinished(tmp_path))
    run = create(tmp_path / "run", tmp_path, "run", {}, [], {})
    assert list(unfinished(tmp_path)) == [run]


def test_checking_a_lock_does_not_take_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create(tmp_path / "run", tmp_path, "run", {}, [], {})
    with (run.path / LOCK).open("w") as other:
        fcntl.flock(other, fcntl.LOCK_SH)  # as one that looks
        assert not run.is_held
        monkeypatch.setattr("arclight.run_directory.time.sleep", lambda _: other.close())
        with run.held():
            assert run.is_held


def test_other_nodes_do_not_wait_for_a_run_that_is_over(tmp_path: Path) -> None:
    run = create(tmp_path / "run", tmp_path, "run", {}, [], {})
    with pytest.raises(UserError, match="first node has not started"):
        wait_for(run.path, seconds=0.1)
    run.update_summary(status="finished")
    assert wait_for(run.path, seconds=0.1).path == run.path
