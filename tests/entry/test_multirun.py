"""A multirun: each job is a run directory, and the same command continues missing jobs."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from arclight.entry.multirun import name_of
from arclight.reading import read_json
from arclight.run.execute import execute
from arclight.run_directory import RunDirectory, create
from arclight.training.checkpoint_files import read
from tests.conftest import PROJECT, Composed

TINY = ("data.limit=64", "data.batch_size=32", "trainer.max_epochs=1")


def command(*overrides: str) -> list[str]:
    return [sys.executable, str(PROJECT / "train.py"), "-m", *overrides]


def multirun(*overrides: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1"}  # exact results depend on the number of threads
    return subprocess.run(
        command(*overrides), cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


def jobs(folder: Path) -> list[RunDirectory]:
    """The jobs of the only multirun in a folder."""
    (made,) = (folder / "runs" / "multirun").iterdir()
    return [RunDirectory(path) for path in sorted(made.glob("[0-9]*"))]


LINE = ("optimizer.lr=0.01,fast,100000", "seed=3", *TINY)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """Three jobs: one finishes, one cannot start, one gets a loss that is not finite."""
    folder = tmp_path_factory.mktemp("mixed")
    done = multirun(*LINE, "trainer.log_every_n_steps=1", cwd=folder)
    assert done.returncode == 1, done.stderr
    return folder, done.stdout, done.stderr


def test_failed_job_does_not_stop_the_others(mixed: tuple[Path, str, str]) -> None:
    first, second, third = jobs(mixed[0])
    assert (first.status, second.status) == ("finished", "failed")
    assert "optimizer.lr=fast should be a number" in second.summary["error"]
    assert "optimizer.lr=fast should be a number" in second.log_file.read_text()
    assert third.status in ("finished", "failed")  # it was executed


def test_table_at_the_end_lists_every_job(mixed: tuple[Path, str, str]) -> None:
    _, out, errors = mixed
    table = [line for line in out.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 3
    assert "optimizer.lr" in table[0]
    assert "val/accuracy" in table[0]
    assert "finished" in table[2]
    assert "failed" in table[3]
    assert "should be a number" in errors


def test_job_equals_a_single_run(
    mixed: tuple[Path, str, str], composed: Composed, tmp_path: Path
) -> None:
    config = composed("optimizer.lr=0.01", "seed=3", *TINY, "trainer.log_every_n_steps=1")
    job = jobs(mixed[0])[0]
    assert job.config == config
    alone = create(tmp_path / "alone", tmp_path, "alone", config, [], {})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the jobs of a multirun
    try:
        assert execute(alone) == 0
    finally:
        torch.set_num_threads(threads)
    weights = [read(run.checkpoints / "last.ckpt")["state_dict"] for run in (job, alone)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[1])


def test_same_command_runs_missing_jobs_and_rejects_another_config(
    mixed: tuple[Path, str, str], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(mixed[0], tmp_path / "again"))
    first, second, third = jobs(folder)
    third.update_summary(status="finished")
    shutil.rmtree(second.path)
    before = first.summary
    done = multirun(*LINE, "trainer.log_every_n_steps=1", cwd=folder)
    assert done.returncode == 1
    assert done.stdout.count("finished already") == 2
    assert first.summary == before
    assert second.status == "failed"  # it was started again

    config = first.config_file.read_text()
    first.config_file.write_text(config.replace("weight_decay: 0.0", "weight_decay: 0.7"))
    done = multirun(*LINE, "trainer.log_every_n_steps=1", cwd=folder)
    assert done.returncode == 2
    assert "optimizer.weight_decay: 0.7" in done.stderr
    assert "hydra.sweep.dir=PATH" in done.stderr


def test_each_command_has_its_own_folder() -> None:
    assert name_of(["seed=0,1"]) == name_of(["seed=0,1"])
    assert name_of(["seed=0,1"]) != name_of(["seed=0,1,2"])
    assert name_of(["seed=0,1", "runs=elsewhere"]) == name_of(["seed=0,1"])
    name = name_of([f"data.path=/a/long/path,b={'c' * 300}"])
    assert len(name) < 50
    assert not set(name) & set("/=, ")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("run_dir=here", "type hydra.sweep.dir=PATH"),
        ("resume=auto", "repeat the same command to continue a multirun"),
    ],
)
def test_keys_of_a_single_run_are_rejected(tmp_path: Path, override: str, sentence: str) -> None:
    done = multirun(override, "seed=0,1", cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_signal_stops_all_jobs_and_the_same_command_continues(tmp_path: Path) -> None:
    overrides = ("seed=0,1", "trainer.max_epochs=12", "trainer.log_every_n_steps=1")
    process = subprocess.Popen(
        command(*overrides),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("runs/multirun/*/0/checkpoints/last.ckpt")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM
    assert "The same command continues the multirun." in output
    (first,) = jobs(tmp_path)
    assert first.status == "interrupted"
    done = multirun(*overrides, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [job.status for job in jobs(tmp_path)] == ["finished", "finished"]
    assert [job.summary["times_resumed"] for job in jobs(tmp_path)] == [1, 0]


@pytest.mark.slow
def test_jobs_may_have_several_processes(tmp_path: Path) -> None:
    done = multirun("trainer=ddp_cpu", "seed=0,1", *TINY, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [job.status for job in jobs(tmp_path)] == ["finished", "finished"]
    assert [job.config["seed"] for job in jobs(tmp_path)] == [0, 1]


@pytest.mark.slow
def test_launcher_may_run_jobs_in_its_own_processes(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    launcher = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    done = multirun(*launcher, "optimizer.lr=0.01,fast", *TINY, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert [job.status for job in jobs(tmp_path)] == ["finished", "failed"]
    assert "finished" in done.stdout
    summaries = [read_json(job.summary_file) for job in jobs(tmp_path)]
    assert summaries[0]["error"] is None
