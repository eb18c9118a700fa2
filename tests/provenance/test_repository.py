"""The manifest's commit and patch restore the exact files of a run."""

import json
import subprocess
from pathlib import Path

import pytest

from arclight.provenance.repository import LARGEST, state

MODULE = "src/arclight/models/mine.py"


def git(folder: Path, *arguments: str, given: bytes | None = None) -> None:
    command = ["git", "-C", str(folder), *arguments]
    subprocess.run(command, input=given, check=True, capture_output=True)


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed project, with git settings that a user may have."""
    settings = "[user]\nname=a\nemail=b\n[diff]\nnoprefix=true\ncontext=0\n[color]\nui=always\n"
    (tmp_path / "settings").write_text(settings)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "settings"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    folder = tmp_path / "project"
    write(folder, {"train.py": b"1\n2\n3\nold\n5\n", ".gitignore": b"*_scratch.py\n"})
    git(folder.parent, "init", "-q", str(folder))
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "begun")
    return folder


NEW = {
    MODULE: b"class Mine:\n    pass\n",
    "src/arclight/models/__init__.py": b"",
    "src/arclight/no_end.py": b"x = 1",
    "src/arclight/windows.py": b"x = 1\r\n\r\ny = 2\r\n",
    "src/arclight/latin.py": b"# -*- coding: latin-1 -*-\nname = '\xe9'\n",
    "configs/model/with a space.yaml": b"_target_: arclight.models.mine.Mine\n\n",
    "configs/model/\xe9t\xe9.yaml": b"a: 1\n",
}


def test_commit_and_patch_restore_the_exact_code(project: Path, tmp_path: Path) -> None:
    write(project, {"train.py": b"1\n2\n3\nnew \xe9\r\n5\n", **NEW})
    (project / "src/arclight/no_end.py").chmod(0o755)
    before = {f: f.read_bytes() for f in (project / ".git").rglob("*") if f.is_file()}
    kept = json.loads(json.dumps(state(project)))
    after = {f: f.read_bytes() for f in (project / ".git").rglob("*") if f.is_file()}
    assert after == before  # in particular, the user's index
    assert kept["left_out"] == []
    again = tmp_path / "again"
    git(tmp_path, "clone", "-q", str(project), str(again))
    git(again, "checkout", "-q", kept["commit"])
    git(again, "apply", given=kept["patch"].encode(errors="surrogateescape"))
    for name in ("train.py", *NEW):
        assert (again / name).read_bytes() == (project / name).read_bytes(), name
        assert (again / name).stat().st_mode == (project / name).stat().st_mode, name


def test_only_code_is_saved_and_unsaved_modules_are_listed(project: Path) -> None:
    unkept = {
        "src/arclight/my_scratch.py": b"ignored = True\n",
        "src/arclight/huge.py": b"#" * LARGEST + b"\n",
        "src/arclight/picture.png": b"\x89PNG\0",
        "notes.txt": b"beside the code\n",
        "src/arclight/.#mine.py": b"an editor's file",
    }
    write(project, {MODULE: b"kept = True\n", **unkept})
    kept = state(project)
    assert kept["patch"].startswith(f"diff --git a/{MODULE}")
    assert "+kept = True\n" in kept["patch"]
    assert not any(f"+++ b/{name}" in kept["patch"] for name in list(unkept)[:4])
    assert kept["left_out"] == ["src/arclight/huge.py", "src/arclight/my_scratch.py"]


def test_patch_is_empty_without_changes(project: Path) -> None:
    assert state(project)["patch"] == ""
    assert "complaint" not in state(project)


def test_a_project_in_a_folder_of_a_repository(project: Path, tmp_path: Path) -> None:
    write(project, {f"part/{MODULE}": b"x = 1\n"})
    kept = state(project / "part")
    assert f"+++ b/part/{MODULE}\n@@ -0,0 +1,1 @@\n+x = 1\n" in kept["patch"]
    (project / ".git" / "info" / "exclude").write_text("part\n")  # a repository of something else
    state.cache_clear()
    assert state(project / "part")["left_out"] == [f"part/{MODULE}"]


@pytest.mark.parametrize("missing", ["repository", "git", "trust", "commit"])
def test_complaint_says_why_git_failed(
    project: Path, tmp_path: Path, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = {
        "repository": "not a git repository",
        "git": "git is not installed",
        "trust": "detected dubious ownership",
        "commit": "HEAD",
    }
    folder = project
    if missing == "repository":
        folder = tmp_path / "copied"
        write(folder, NEW)
    elif missing == "commit":
        folder = tmp_path / "empty"
        git(tmp_path, "init", "-q", str(folder))
    elif missing == "trust":
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
    kept = state(folder)
    assert kept["commit"] is kept["patch"] is None
    assert reasons[missing] in kept["complaint"]
