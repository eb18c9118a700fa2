"""The project's own package learns what its experiment says."""

import json
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[1]


def test_the_experiment_reaches_its_score(tmp_path: Path) -> None:
    words = ["experiment=project", f"run_dir={tmp_path / 'run'}"]
    subprocess.run([sys.executable, "train.py", *words], cwd=PROJECT, check=True)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["metrics"]["test/rmse"] < 0.145
