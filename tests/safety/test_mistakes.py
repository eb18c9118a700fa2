"""Invalid input ends with exit code 2, and the first line has the key and how to fix it."""

import json
import os
import random
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROJECT
from tests.safety.mistakes import lines
from tests.safety.whole import WHOLE

HERE = Path(__file__).parent
SEED = 0

Type = Callable[..., list[dict[str, Any]]]


def sample(file: Path, count: int, folder: Path) -> Path:
    """A file with a sample of the lines, or with all of them."""
    tried = [line for line in file.read_text().splitlines() if line.strip() and line[0] != "#"]
    if not WHOLE:
        tried = random.Random(SEED).sample(tried, min(count, len(tried)))
    (folder / file.name).write_text("\n".join(tried) + "\n")
    return folder / file.name


def answers(file: Path, folder: Path, *more: str) -> list[dict[str, Any]]:
    """The results of each line, in forks of one process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.safety.mistakes", str(file), str(folder), *more],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled"},
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def faults_of(answer: dict[str, Any], wanted: list[str]) -> list[str]:
    """The faults of a result."""
    errors = [line for line in answer["said"].splitlines() if line.startswith("error: ")]
    first = errors[0] if errors else ""
    found = [
        f"the first line lacks {want!r}: {first[:300]}" for want in wanted if want not in first
    ]
    if answer["code"] != 2:
        found.append(f"exit code {answer['code']}")
    if "Traceback" in answer["said"]:
        found.append("a traceback")
    return found


def test_the_lists_are_long() -> None:
    assert len(lines(HERE / "wrong_words.txt")) + len(lines(HERE / "wrong_runs.txt")) >= 300


def test_without_torch(tmp_path: Path) -> None:
    """Errors that are visible in the config are reported before torch is imported."""
    file = sample(HERE / "wrong_words.txt", 16, tmp_path)
    tried = lines(file)
    found = answers(file, tmp_path)
    assert len(found) == len(tried)
    wrong = {
        answer["words"]: faults
        for answer, (_, wanted) in zip(found, tried, strict=True)
        if (faults := [*faults_of(answer, wanted), *(["torch"] if answer["torch"] else [])])
    }
    assert not wrong


@pytest.mark.slow
def test_with_the_data_and_the_machine(tmp_path: Path) -> None:
    """Errors that depend on the data, the model or the machine end in the same way."""
    file = sample(HERE / "wrong_runs.txt", 10, tmp_path)
    tried = lines(file)
    found = answers(file, tmp_path, "ready")
    assert len(found) == len(tried)
    wrong = {
        answer["words"]: faults
        for answer, (_, wanted) in zip(found, tried, strict=True)
        if (faults := faults_of(answer, wanted))
    }
    assert not wrong


def wrong_files() -> list[tuple[str, str, list[str], str]]:
    """Name, overrides, expected texts in the first line, and content of each invalid file."""
    found = []
    for part in (HERE / "wrong_files.txt").read_text().split("=== ")[1:]:
        head, _, text = part.partition("\n")
        name, words, *wanted = (piece.strip() for piece in head.split(" | "))
        found.append((name, words, wanted, textwrap.dedent(text)))
    return found


def test_invalid_files_of_the_user_are_reported(tmp_path: Path) -> None:
    """For configs in the user's own folder, the message has the file and the line."""
    tried = wrong_files() if WHOLE else random.Random(SEED).sample(wrong_files(), 6)
    typed = []
    for number, (name, words, _, text) in enumerate(tried):
        file = tmp_path / str(number) / name
        file.parent.mkdir(parents=True)
        file.write_text(text)
        typed.append(f"--config-dir={tmp_path / str(number)} {words}")
    (tmp_path / "words.txt").write_text("\n".join(typed) + "\n")
    found = answers(tmp_path / "words.txt", tmp_path)
    wrong = {
        name: faults
        for answer, (name, _, wanted, _) in zip(found, tried, strict=True)
        if (faults := faults_of(answer, wanted))
    }
    assert not wrong
