"""Each modality of the zoo can be deleted; the others work without it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT

RUNS = {  # overrides per modality for a run without a download
    "image": ("model=cnn", "data=digits", "task=image_classification"),
    "text": ("model=gpt", "data=stdlib", "task=language_modelling"),
    "image_text": ("model=clip", "data=digits_captions", "task=contrastive"),
}
GALLERY = sorted(
    folder.name
    for folder in (PROJECT / "src" / "arclight_zoo" / "gallery").iterdir()
    if (folder / "__init__.py").is_file()
)
FEW = ("trainer.max_steps=1", "data.limit=32", "data.batch_size=8", "preflight=false")


def without(modality: str, folder: Path) -> Path:
    """A copy of the project without the package, tests and configs of a modality.

    A project of the gallery works too, such as `gallery.tabular`.
    """
    for name in ("src", "configs", "tests"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("train.py", "pyproject.toml"):
        shutil.copy(PROJECT / name, folder)
    place = modality.replace(".", "/")
    shutil.rmtree(folder / "src" / "arclight_zoo" / place)
    shutil.rmtree(folder / "tests" / "zoo" / place, ignore_errors=True)
    wanted, gone = rf"arclight_zoo\.{re.escape(modality)}\.", set[str]()
    while found := {
        file
        for file in (folder / "configs").glob("*/*.yaml")
        if re.search(wanted, file.read_text())
    }:
        gone |= {f"{file.parent.name}: {file.stem}" for file in found}
        for file in found:
            file.unlink()
        names = "|".join(f"override /{name}" for name in sorted(gone))
        wanted = rf"- ({names})\b(?!_)"
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("modality", list(RUNS))
def test_the_others_work_without_it(modality: str, tmp_path: Path) -> None:
    folder = without(modality, tmp_path)
    env = {**os.environ, "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command], cwd=folder, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("-c", importing(folder))
    others = [name for name in RUNS if name != modality]
    for other in others:
        assert "Results" in run("train.py", *RUNS[other], *FEW, f"run_dir={tmp_path / other}")
    tests = [f"tests/zoo/{name}" for name in (*others, "nets")]
    needs = re.compile(rf"arclight_zoo\.{modality}\b|tests\.zoo\.{modality}\b|\bcomposed\b")
    files = [
        str(file.relative_to(folder))
        for place in tests
        for file in sorted((folder / place).rglob("test_*.py"))
        if not needs.search(file.read_text())
    ]
    assert files
    run("-m", "pytest", "-q", "-p", "no:cacheprovider", *files)


@pytest.mark.slow
@pytest.mark.parametrize("project", GALLERY)
def test_the_gallery_works_without_one_of_its_projects(project: str, tmp_path: Path) -> None:
    folder = without(f"gallery.{project}", tmp_path)
    env = {**os.environ, "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", importing(folder)]
    subprocess.run(words, cwd=folder, env=env, check=True)
    left = [file.read_text() for file in (folder / "configs").glob("*/*.yaml")]
    assert not any(f"arclight_zoo.gallery.{project}." in text for text in left)


def importing(folder: Path) -> str:
    """Python that imports every module of the zoo."""
    modules = [
        ".".join(file.relative_to(folder / "src").with_suffix("").parts)
        for file in (folder / "src" / "arclight_zoo").rglob("*.py")
    ]
    return f"import importlib\nfor name in {modules!r}: importlib.import_module(name)"
