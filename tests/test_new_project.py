"""`make project NAME=mylab`, on copies of the project."""

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
COPIED = ("pyproject.toml", "scripts/new_project.py", "tests/test_project.py", "src/project")

Make = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the files that the command reads."""
    configs = [f.relative_to(PROJECT) for f in (PROJECT / "configs").glob("*/project.yaml")]
    for name in (*COPIED, *configs):
        source, target = PROJECT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return tmp_path


@pytest.fixture
def make(root: Path) -> Make:
    def run(name: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "scripts/new_project.py", name]
        return subprocess.run(command, cwd=root, capture_output=True, text=True)

    return run


def contents(root: Path) -> dict[str, bytes]:
    files = [f for f in root.rglob("*") if f.is_file() and "__pycache__" not in f.parts]
    return {str(f.relative_to(root)): f.read_bytes() for f in files}


def test_new_project_is_a_copy_with_another_name(root: Path, make: Make) -> None:
    before = contents(root)
    assert make("mylab").returncode == 0
    after = contents(root)
    made = {name for name in after if name not in before}
    room = ("src/project/", "configs/", "tests/")
    originals = [name for name in before if name.startswith(room)]
    assert made == {re.sub(r"(?<![a-z])project(?![a-z])", "mylab", name) for name in originals}
    assert not any(re.search(rb"\bproject\b", after[name]) for name in made)
    assert {n for n in before if before[n] != after[n]} == {"pyproject.toml"}


def test_new_project_is_added_to_pyproject(root: Path, make: Make) -> None:
    before = (root / "pyproject.toml").read_text()
    assert make("mylab").returncode == 0
    assert make("other").returncode == 0
    after = (root / "pyproject.toml").read_text()
    assert after.replace(', "mylab", "other"', "") == before  # comments and layout are as they were
    tables = tomllib.loads(after)["tool"]
    assert tables["arclight"]["packages"][-2:] == ["mylab", "other"]
    assert tables["uv"]["build-backend"]["module-name"][-2:] == ["mylab", "other"]


@pytest.mark.parametrize(
    "written",
    [
        'packages = ["project"]',
        "packages = ['project']",
        'packages = [\n    "project",  # ["mine"]\n    # "old",\n]',
        'packages = [ "project", "second" ]',
    ],
)
def test_lists_in_other_layouts(root: Path, make: Make, written: str) -> None:
    file = root / "pyproject.toml"
    text = re.sub(r"(?m)^packages = \[.*\]$", lambda _: written, file.read_text())
    file.write_text(text)
    names = tomllib.loads(text)["tool"]["arclight"]["packages"]
    done = make("mylab")
    if "'" in written:  # not supported, which is an error
        assert done.returncode == 2
        assert file.read_text() == text
    else:
        assert done.returncode == 0, done.stderr
        assert tomllib.loads(file.read_text())["tool"]["arclight"]["packages"] == [*names, "mylab"]


@pytest.mark.parametrize(
    "name",
    ["", "my lab", "9lives", "_hidden", "../up", "class", "null", "json", "torch", "project"],
)
def test_invalid_name_is_an_error(root: Path, make: Make, name: str) -> None:
    before = contents(root)
    done = make(name)
    assert done.returncode == 2
    assert re.fullmatch(r"error: \S.*\.\n", done.stderr)
    assert contents(root) == before


@pytest.mark.parametrize(
    "taken",
    ["src/mylab/x.py", "configs/data/mylab.yaml", "configs/task/mylab.yaml", "tests/test_mylab.py"],
)
def test_existing_name_is_an_error(root: Path, make: Make, taken: str) -> None:
    (root / taken).parent.mkdir(exist_ok=True)
    (root / taken).write_text("")
    before = contents(root)
    done = make("mylab")
    assert done.returncode == 2
    assert str(Path(taken)).startswith(done.stderr.split()[1])
    assert contents(root) == before


def test_failure_leaves_no_files(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("new_project", root / "scripts/new_project.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def full(*paths: Path) -> None:
        raise OSError(28, "No space left on device", str(paths[0]))

    before = contents(root)
    monkeypatch.setattr(module.os, "replace", full)  # the last step
    with pytest.raises(module.Refused, match="No space left on device"):
        module.make(root, "mylab")
    assert contents(root) == before
    assert not (root / "src" / "mylab").exists()


@pytest.mark.slow
def test_new_project_trains(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("src", "configs", "scripts", "tests"):
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=ignored)
    for name in ("train.py", "pyproject.toml"):
        shutil.copy(PROJECT / name, tmp_path)
    subprocess.run([sys.executable, "scripts/new_project.py", "mylab"], cwd=tmp_path, check=True)
    overrides = ["experiment=mylab", "trainer.max_steps=2", "run_dir=run", "preflight=false"]
    done = subprocess.run(
        [sys.executable, "train.py", *overrides],
        cwd=tmp_path,
        env={"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "mylab.task.Denoising" in (tmp_path / "run" / "config.yaml").read_text()
