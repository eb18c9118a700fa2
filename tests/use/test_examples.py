"""The example beside an export answers as `scripts/predict.py` does, where no arclight is."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from arclight.run_directory import RunDirectory
from arclight.use.export import ENDINGS
from arclight.use.generate import generate
from arclight.use.predict import predict
from tests.conftest import PROJECT, Composed
from tests.use import unseen
from tests.use.pipelines import CHECKS
from tests.use.test_export import WITHOUT, exported, rows, run_of

SCRIPTS = {"onnx": "model_onnx_example.py", "torch_export": "model_pt2_example.py"}
Lines = list[dict[str, Any]]


def answered(run: RunDirectory, formats: list[str], words: list[str]) -> list[Lines]:
    """What the examples beside these exports print, in one process."""
    scripts = [str(run.path / SCRIPTS.get(f, "model/example.py")) for f in formats]
    job = run.path / "job.json"
    job.write_text(json.dumps([(script, words) for script in scripts]))
    command = [sys.executable, str(PROJECT / "tests/use/examples.py"), str(job)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=run.path)
    assert done.returncode == 0, done.stderr
    printed: list[Lines] = json.loads(Path(f"{job}.out").read_text())
    return printed


def wanted(run: RunDirectory, asked: str) -> Lines:
    """The answers of `scripts/predict.py`, as examples print them."""
    header, *answers = predict(str(run.path), asked)
    lines: Lines = []
    for row in answers:
        line: dict[str, Any] = dict(zip(header[:2], row, strict=False))
        if not row[0].strip():
            continue  # a blank line
        numbers = dict(zip(header[2:], map(float, row[2:]), strict=True))
        if header[0] == "seed":
            line = {"seed": int(row[0]), "pixels": list(map(float, row[1:]))}
        elif header[1] == "mask":
            line = {"file": row[0], "shares": numbers}
        elif numbers:
            line = {header[0]: row[0], "label": row[1], "probabilities": numbers}
        lines.append(line)
    return lines


def same(found: Lines, told: Lines) -> None:
    assert len(found) == len(told)
    for one, other in zip(found, told, strict=True):
        assert one.keys() == other.keys()
        for key, value in other.items():
            if isinstance(value, str | int):
                assert one[key] == value
            else:
                assert one[key] == pytest.approx(value, abs=1e-4)


def asked(run: RunDirectory, folder: Path) -> tuple[list[str], Lines]:
    """What the example of a run is given, and what it has to answer."""
    kind = run.manifest["data"]["kind"].rpartition(".")[2]
    task = run.config["task"]["_target_"].rpartition(".")[2]
    file = folder / "new.txt"
    if task in ("AdversarialGeneration", "Diffusion"):
        seeds = ["3", "17", str(2**40 + 5)]
        file.write_text("\n".join(seeds))
        return seeds, wanted(run, str(file))
    if task == "LanguageModelling" and "masked" not in run.config["data"]:
        prompts = ["def read", "    return 1", "e" * 70, "file):"]
        file.write_text("\n".join(prompts))
        told = (generate(str(run.path), line, length=50, temperature=0) for line in prompts)
        return [str(file)], [{"text": a, "answer": b} for a, b in zip(prompts, told, strict=True)]
    if task == "LanguageModelling":
        file.write_text("def <mask>(file):\n<mask> 3rd </s> of <mask> 1999\n" + 40 * "<mask> a ")
    elif kind == "TextFacts":
        unseen.texts(file)
    elif kind == "TableFacts":
        file = unseen.table(folder / "new.csv", run.manifest["data"]["inputs"]["numbers"])
    else:
        return unseen.images(folder / "new"), wanted(run, str(folder / "new"))
    return [str(file)], wanted(run, str(file))


@pytest.mark.parametrize("model", rows("vit"))
def test_every_export_answers_like_predict(composed: Composed, tmp_path: Path, model: str) -> None:
    run = run_of(composed, tmp_path, model)
    for format in ENDINGS:
        exported(run, model, format)
    formats = [f for f in ("onnx", "torch_export", "hf") if (model, f) not in WITHOUT]
    words, told = asked(run, tmp_path)
    for found in answered(run, formats, words):
        same(found, told)
    if model in CHECKS:
        CHECKS[model](run, run.path / "model", tmp_path)
