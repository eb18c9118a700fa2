"""The example beside an export answers as `scripts/predict.py` does, where no arclight is."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from arclight.run_directory import RunDirectory
from arclight.use.export import export
from arclight.use.predict import predict
from tests.conftest import PROJECT, Composed
from tests.use import unseen
from tests.use.test_export import WITHOUT, rows, run_of

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
    named = [dict(zip(header, row, strict=True)) for row in answers if any(row[1:])]
    first = header[0]
    if header[1] in ("label", "labels"):
        return [
            {
                first: row[first],
                "label": row["label"],
                "probabilities": {name: float(row[name]) for name in header[2:]},
            }
            for row in named
        ]
    return [dict(row) for row in named]


def same(found: Lines, told: Lines) -> None:
    assert len(found) == len(told)
    for one, other in zip(found, told, strict=True):
        chances = one.pop("probabilities", None)
        if chances:
            assert chances == pytest.approx(other["probabilities"], abs=1e-4)
            other = {k: v for k, v in other.items() if k != "probabilities"}
        assert one == other


@pytest.mark.parametrize("model", rows("cnn"))
def test_it_answers_as_predict_does(composed: Composed, tmp_path: Path, model: str) -> None:
    run = run_of(composed, tmp_path, model)
    formats = [f for f in ("onnx", "torch_export", "hf") if (model, f) not in WITHOUT]
    for format in formats:
        export(str(run.path), format)
    kind = run.manifest["data"]["kind"].rpartition(".")[2]
    if kind == "TextFacts":
        asked = unseen.texts(tmp_path / "new.txt")
        words, told = [str(asked)], wanted(run, str(asked))
    else:
        words = unseen.images(tmp_path / "new")
        told = wanted(run, str(tmp_path / "new"))
    for found in answered(run, formats, words):
        same(found, told)
