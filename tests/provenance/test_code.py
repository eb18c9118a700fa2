"""Commands that read or continue a run warn of code that has changed since."""

from pathlib import Path
from typing import Any

import pytest

from arclight.entry.multirun import report
from arclight.provenance.code import (
    NAMED,
    changed_since,
    differing,
    digests,
    last_executed,
    named,
    note_code,
    warn_of_changes,
)
from arclight.run_directory import RunDirectory, create

OTHER = "0123456789abcdef"
IN_GIT = {"commit": "c0ffee", "branch": "main", "patch": "", "left_out": []}
CNN = "arclight_zoo/image/cnn.py"


def a_run(path: Path, code: dict[str, str] | None = None, **manifest: Any) -> RunDirectory:
    """A finished run of the current code, except for `code`."""
    manifest = {"git": IN_GIT, "code": {**digests(), **(code or {})}, **manifest}
    config = {key: {} for key in ("scheduler", "trainer", "data", "callbacks")}
    run = create(path, path.parent, "run", config, [], manifest)
    run.update_summary(status="finished", times_resumed=1)
    return run


def test_digests_are_of_packages_configs_and_the_entry(tmp_path: Path) -> None:
    texts = {
        "src/mylab/a.py": "x",
        "src/mylab/models/b.py": "x",
        "src/mylab/c.txt": "x",
        "src/mylab/.#a.py": "x",
        "src/other/d.py": "x",
        "configs/model/e.yaml": "x",
        "train.py": "x",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)
    mylab = tmp_path / "src/mylab"
    (mylab / "gone.py").symlink_to(tmp_path / "nowhere")
    before = digests(tmp_path, (mylab,))
    assert list(before) == [
        "configs/model/e.yaml", "mylab/a.py", "mylab/models/b.py", "train.py",
    ]  # fmt: skip
    (mylab / "a.py").write_text("y")
    (mylab / "models/b.py").unlink()
    (mylab / "models/new.py").write_text("")
    digests.cache_clear()
    now = digests(tmp_path, (mylab,))
    changes = ["mylab/a.py", "mylab/models/b.py (gone)", "mylab/models/new.py (new)"]
    assert differing(before, now) == changes


def test_only_configs_that_the_run_used_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {"configs/model/vit.yaml": OTHER, "configs/model/cnn.yaml": OTHER}
    run = a_run(tmp_path / "run", other, choices={"model": "vit", "data": "digits"})
    warn_of_changes(run)
    assert "this run: configs/model/vit.yaml; its" in capsys.readouterr().err


def test_changes_are_listed_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = a_run(tmp_path / "run", {CNN: OTHER, "models/gone.py": OTHER})
    warn_of_changes(run)
    out, errors = capsys.readouterr()
    assert not out  # predict writes its output there
    assert errors == (
        "warning: the code has changed since this run: arclight_zoo/image/cnn.py, "
        "models/gone.py (gone); its metrics may differ.\n"
    )


def test_many_files_are_counted() -> None:
    names = [f"models/{i}.py" for i in range(NAMED + 3)]
    assert named(names).endswith(f"models/{NAMED - 1}.py and 3 more")


def test_no_warning_for_code_that_cannot_change_metrics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unchanged = a_run(tmp_path / "unchanged")
    plots = a_run(
        tmp_path / "plots",
        {
            "arclight/report/plots.py": OTHER,
            "arclight/search/space.py": OTHER,
            "configs/model/none.yaml": OTHER,
        },
    )
    added = a_run(tmp_path / "added")
    added.update_manifest(code={k: v for k, v in digests().items() if k != CNN})
    older = create(tmp_path / "older", tmp_path, "older", {}, [], {})
    for run in (unchanged, plots, added, older):
        warn_of_changes(run)
    older.manifest_file.unlink()
    warn_of_changes(older)
    assert capsys.readouterr() == ("", "")


def test_run_continued_with_other_code_records_it(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", {CNN: OTHER, "models/gone.py": OTHER})
    warnings: list[str] = []
    now = {**IN_GIT, "patch": "diff"}
    for _ in range(2):  # the second time there is nothing new
        note_code(run, lambda: now, warnings.append)
    (sentence,) = warnings
    files = "arclight_zoo/image/cnn.py, models/gone.py (gone)"
    assert f"changed since this run was last executed: {files}." in sentence
    (entry,) = run.manifest["continued"]
    assert entry["code"] == {CNN: digests()[CNN], "models/gone.py": None}
    assert entry["git"] == now
    assert run.manifest["code"][CNN] == OTHER  # the code of its first execution
    assert last_executed(run.manifest) == digests()
    assert changed_since(run) == []


@pytest.mark.parametrize(
    ("git", "sentence"),
    [
        ({"commit": None, "complaint": "git is not installed"}, "not saved (git is not installed)"),
        ({**IN_GIT, "left_out": ["src/arclight/models/mine.py"]}, "src/arclight/models/mine.py"),
        (IN_GIT, None),
    ],
)
def test_warning_that_code_is_not_saved_is_shown_once(
    tmp_path: Path, git: dict[str, Any], sentence: str | None
) -> None:
    run = a_run(tmp_path / "run", git=git)
    warnings: list[str] = []
    run.update_summary(times_resumed=0)
    note_code(run, lambda: git, warnings.append)
    run.update_summary(times_resumed=1)
    note_code(run, lambda: git, warnings.append)
    assert len(warnings) == (sentence is not None)
    assert all(str(sentence) in line for line in warnings)
    assert "continued" not in run.manifest


def test_multirun_warns_of_all_its_jobs_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, code in enumerate([{}, {CNN: OTHER}, {"arclight/seeds.py": OTHER}]):
        a_run(tmp_path / str(number), code)
    assert report(tmp_path)
    assert capsys.readouterr().err == (
        "warning: the code has changed since 2 of these jobs finished: arclight/seeds.py, "
        "arclight_zoo/image/cnn.py; "
        "their metrics may differ.\n"
    )
