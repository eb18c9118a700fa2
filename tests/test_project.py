import json
import subprocess
import sys
from pathlib import Path


def test_the_experiment_reaches_its_score(tmp_path: Path) -> None:
    command = [sys.executable, "train.py", "experiment=project", f"run_dir={tmp_path / 'run'}"]
    subprocess.run(command, cwd=Path(__file__).parents[1], check=True)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["metrics"]["test/rmse"] < 0.145
