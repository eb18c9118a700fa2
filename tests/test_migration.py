"""Follows docs/migration.md step by step with the project in tests/migration."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
OLD = Path(__file__).parent / "migration"
PAGE = (PROJECT / "docs" / "migration.md").read_text()


def blocks(language: str) -> list[str]:
    """The page's code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def changed_lines(diff: str) -> int:
    """The number of changed lines; a line that replaces another counts once."""
    marks = [line[:1] for line in diff.splitlines()[1:]]
    return max(marks.count("+"), marks.count("-"))


def apply(diff: str, root: Path) -> None:
    header, *lines = diff.splitlines()
    file = root / header.removeprefix("--- ")
    before, after = (
        "\n".join(line[1:] for line in lines if line[:1] != mark) + "\n" for mark in "+-"
    )
    text = f"\n{file.read_text()}"
    assert text.count(f"\n{before}") == 1, f"{header}: {before}"
    file.write_text(text.replace(f"\n{before}", f"\n{after}")[1:])


@pytest.fixture
def migrated(tmp_path: Path) -> Path:
    """A copy of this project, with the other one moved into it as the page describes."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("src", "configs", "scripts"):
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=ignored)
    for name in ("train.py", "pyproject.toml"):
        shutil.copy(PROJECT / name, tmp_path)
    (moves,) = blocks("sh")
    subprocess.run(["bash", "-euc", moves], cwd=tmp_path, env={"OLD": str(OLD)}, check=True)
    (packages,) = blocks("toml")
    pyproject = tmp_path / "pyproject.toml"
    text, count = re.subn(r"(?m)^packages = \[.*\]\n", packages, pyproject.read_text())
    assert count == 1
    pyproject.write_text(text)
    for diff in blocks("diff"):
        apply(diff, tmp_path)
    return tmp_path


def train(root: Path, overrides: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "train.py", *overrides],
        cwd=root,
        env={"PATH": "/usr/bin:/bin", "HOME": str(root), "PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
    )


def test_at_most_ten_lines_change() -> None:
    count = sum(changed_lines(diff) for diff in blocks("diff"))
    assert count <= 10
    numbers = {"nine": 9, "ten": 10}
    (number,) = re.findall(r"## 2. Change (\w+) lines", PAGE)
    assert count == numbers[number]


def test_the_config_composes(migrated: Path) -> None:
    done = train(migrated, ["experiment=example", "--cfg", "job"])
    assert done.returncode == 0, done.stderr
    assert "mylab.models.mnist_module.MNISTLitModule" in done.stdout


@pytest.mark.slow
def test_migrated_project_trains_and_tests_its_best_checkpoint(migrated: Path) -> None:
    command = re.search(r"\npython train.py (experiment=\w+)\n", PAGE)
    assert command
    overrides = [command[1], "trainer.min_epochs=1", "trainer.max_epochs=2", "run_dir=run"]
    done = train(migrated, overrides)
    assert done.returncode == 0, done.stderr
    summary = json.loads((migrated / "run" / "summary.json").read_text())
    assert summary["status"] == "finished"
    assert summary["tested_checkpoint"] == "best.ckpt"
    assert summary["metrics"]["test/acc"] > 0.8
    assert (migrated / "run" / "checkpoints" / "last.ckpt").is_file()
    header = (migrated / "run" / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"train/loss", "val/acc", "val/acc_best", "test/acc"} <= set(header)
    assert not (migrated / "checkpoints").exists()
    again = subprocess.run(
        [sys.executable, "scripts/evaluate.py", "run=run"],
        cwd=migrated,
        env={"PATH": "", "HOME": str(migrated), "PYTHONPATH": str(migrated / "src")},
        capture_output=True,
        text=True,
    )
    assert again.returncode == 0, again.stderr
