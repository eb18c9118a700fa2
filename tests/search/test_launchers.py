"""A search whose workers are started by Hydra's launchers: joblib, and SLURM with fake commands."""

import os
import sys
from pathlib import Path

import optuna
import pytest

from tests.conftest import PROJECT
from tests.fault.harness import Command
from tests.search.conftest import OWN

pytestmark = pytest.mark.slow

SBATCH = """#!/bin/sh
# each task of the array at once, as on an idle cluster
for script; do :; done
tasks=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$script")
for task in $(seq 0 ${tasks:-0}); do
    SLURM_JOB_ID=77_$task SLURM_ARRAY_JOB_ID=77 SLURM_ARRAY_TASK_ID=$task \\
        SLURM_JOB_NODELIST=localhost SLURM_NTASKS=1 SLURM_LOCALID=0 SLURM_NODEID=0 SLURM_PROCID=0 \\
        SLURM_JOB_NUM_NODES=1 sh "$script" > "$FAKE_SLURM/job-$task" 2>&1 < /dev/null &
done
echo "Submitted batch job 77"
"""
SRUN = f"""#!/bin/sh
while [ "$1" != {sys.executable} ]; do shift; done
exec "$@"
"""
SACCT = """#!/bin/sh
echo 'JobID|State|NodeList'
for task in 0 1 2; do echo "77_$task|RUNNING|localhost"; done
"""


def states(folder: Path) -> list[str]:
    study = optuna.load_study(study_name="tiny", storage=f"sqlite:///{folder / 'study.db'}")
    return [t.state.name for t in study.get_trials()]


def test_joblib_starts_workers_that_share_the_search(tmp_path: Path) -> None:
    folder = tmp_path / "search"
    words = ("search=tiny", f"search.dir={folder}", "search.n_trials=6", "search.workers=1")
    launch = ("search.worker=0,1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    train = str(PROJECT / "train.py")
    with Command(train, "-m", OWN, *words, *launch, folder=tmp_path) as command:
        assert command.code == 0, command.output
        assert command.output.count("of 6: val/accuracy") == 6
    assert states(folder) == ["COMPLETE"] * 6
    assert (folder / "best.yaml").is_file()


def test_slurm_jobs_are_workers_that_share_the_search(tmp_path: Path) -> None:
    for name, text in {"sbatch": SBATCH, "srun": SRUN, "sacct": SACCT}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "FAKE_SLURM": str(tmp_path)}
    folder = tmp_path / "search"
    words = ("search=tiny", f"search.dir={folder}", "search.n_trials=6", "search.workers=1")
    launch = ("search.worker=0,1", "hydra/launcher=submitit_slurm")
    train = str(PROJECT / "train.py")
    with Command(train, "-m", OWN, *words, *launch, folder=tmp_path, env=env) as command:
        assert command.code == 0, command.output
    assert states(folder) == ["COMPLETE"] * 6
    said = "".join(f.read_text() for f in tmp_path.glob("job-*"))
    assert said.count("of 6: val/accuracy") == 6
