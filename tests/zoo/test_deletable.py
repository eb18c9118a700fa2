"""All but one modality of the zoo can be deleted, and each project of the gallery."""

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


def without(modalities: list[str], folder: Path) -> Path:
    """A copy of the project without the packages, tests and configs of these modalities."""
    for name in ("src", "configs", "tests"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("train.py", "pyproject.toml"):
        shutil.copy(PROJECT / name, folder)
    for name in modalities:
        shutil.rmtree(folder / "src" / "arclight_zoo" / name)
        shutil.rmtree(folder / "tests" / "zoo" / name)
    wanted, gone = rf"arclight_zoo\.({'|'.join(modalities)})\.", set[str]()
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
def test_a_modality_works_without_the_others(modality: str, tmp_path: Path) -> None:
    others = [name for name in RUNS if name != modality]
    folder = without(others, tmp_path)
    env = {**os.environ, "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command], cwd=folder, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("-c", f"import importlib\nfor name in {modules(folder)!r}: importlib.import_module(name)")
    assert "Results" in run("train.py", *RUNS[modality], *FEW, f"run_dir={tmp_path / 'run'}")
    gone = "|".join(others)
    needs = re.compile(rf"arclight_zoo\.({gone})\b|tests\.zoo\.({gone})\b|\bcomposed\b")
    files = [
        str(file.relative_to(folder))
        for place in (f"tests/zoo/{modality}", "tests/zoo/nets")
        for file in sorted((folder / place).rglob("test_*.py"))
        if not needs.search(file.read_text())
    ]
    assert files
    run("-m", "pytest", "-q", "-p", "no:cacheprovider", *files)


IMPORTING = """
import importlib, os, sys
import datasets, lightning, timm, torch, transformers  # once for all
modules = sys.argv[1].split()
for project in sys.argv[2:]:
    if child := os.fork():
        if os.waitpid(child, 0)[1]:
            sys.exit(f"The others need {project}.")
        continue
    sys.modules[project] = None  # an import of it fails
    for name in modules:
        if name != project and not name.startswith(f"{project}."):
            importlib.import_module(name)
    os._exit(0)
"""


@pytest.mark.slow
def test_the_gallery_works_without_one_of_its_projects() -> None:
    projects = [f"arclight_zoo.gallery.{name}" for name in GALLERY]
    words = [sys.executable, "-c", IMPORTING, " ".join(modules(PROJECT)), *projects]
    subprocess.run(words, check=True)


def modules(folder: Path) -> list[str]:
    """Every module of the zoo."""
    return [
        ".".join(file.relative_to(folder / "src").with_suffix("").parts)
        for file in (folder / "src" / "arclight_zoo").rglob("*.py")
    ]
