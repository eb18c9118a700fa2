"""Ray starts a search's workers: `make test-ray`, in an environment of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from arclight.report.search_results import open_search
from tests.conftest import PROJECT

pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="wants `make test-ray`")


def test_rays_workers_share_a_search(tmp_path: Path) -> None:
    words = (
        *("-m", "search.worker=0,1", "hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2"),
        *("search=digits_cnn", "search.n_trials=4", f"search.dir={tmp_path / 'search'}"),
        *("logger=csv", "debug=fast", "data.limit=32", "data.batch_size=16"),
    )
    command = [sys.executable, str(PROJECT / "train.py"), *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    search = open_search(tmp_path / "search")
    assert search.counts == {"finished": 4}
    assert len({str(run) for trial in search.trials for run in search.runs_of(trial)}) == 4
