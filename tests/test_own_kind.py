"""Custom data and a custom task in a user's package work with all commands."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from arclight import load
from tests.conftest import PROJECT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("own kind")]  # they share a run
FEW = ("experiment=project", "trainer.max_epochs=3", "preflight=false")
SPACE = """# @package _global_
defaults:
  - /search/_search@search
  - _self_
search:
  n_trials: 2
  space:
    task.softness: {low: 0.01, high: 0.3}
"""


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", **environment}
    return subprocess.run(
        [sys.executable, *arguments], cwd=PROJECT, env=env, capture_output=True, text=True
    )


def good(*arguments: str) -> str:
    done = python(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own") / "run"
    good("train.py", *FEW, "logger=wandb", f"run_dir={folder}")
    return folder


def weights(run: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    return state["state_dict"]  # type: ignore[no-any-return]


def test_run_is_evaluated_exported_and_reproduced(run: Path, tmp_path: Path) -> None:
    metrics = json.loads((run / "summary.json").read_text())["metrics"]
    assert f"{metrics['test/rmse']}" in good("scripts/evaluate.py", f"run={run}")
    (tmp_path / "noisy.csv").write_text("\n".join([",".join(["0.5"] * 64)] * 2))
    answers = tmp_path / "answers.csv"
    good("scripts/predict.py", f"run={run}", f"input={tmp_path / 'noisy.csv'}", f"output={answers}")
    header, *rows = csv.reader(answers.read_text().splitlines())
    assert len(header) == 65
    assert len(rows) == 2
    for form in ("onnx", "torch_export", "safetensors"):
        good("scripts/export.py", f"run={run}", f"format={form}")
    output = good("scripts/reproduce.py", f"run={run}", f"output={tmp_path / 'again'}")
    assert "equal, bit by bit" in output
    assert list((run / "wandb").glob("offline-run-*"))
    assert load(run).answers(tmp_path / "noisy.csv")[0] == header


def test_killed_run_resumes_to_exactly_the_same_weights(run: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    command = [sys.executable, "train.py", *FEW, f"run_dir={cut}"]
    command += ["callbacks.checkpoints.every_n_steps=5"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=PROJECT, env=env, stdout=subprocess.DEVNULL)
    last = cut / "checkpoints" / "last.ckpt"
    while not last.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    good("train.py", f"resume={cut}")
    whole, again = weights(run), weights(cut)
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_search(tmp_path: Path) -> None:
    (tmp_path / "configs" / "search").mkdir(parents=True)
    (tmp_path / "configs" / "search" / "mine.yaml").write_text(SPACE)
    path = f"hydra.searchpath=[file://{tmp_path / 'configs'}]"
    overrides = [*FEW, "search=mine", f"search.dir={tmp_path / 'search'}"]
    good("train.py", path, *overrides)
    assert len(list((tmp_path / "search" / "trials").glob("[0-9]*"))) == 2
    assert "task.softness" in (tmp_path / "search" / "best.yaml").read_text()
