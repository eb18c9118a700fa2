"""The SLURM job files, with fake `srun` and `scontrol` on PATH."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from arclight.run_directory import RunDirectory
from tests.conftest import PROJECT

JOB = str(os.getpid())  # the port for several nodes depends on it
FILES = sorted((PROJECT / "scripts" / "slurm").glob("*.sbatch"))

SRUN = """#!/bin/sh
# starts the command once for each node, as srun does with one task a node
while [ "${1#-}" != "$1" ]; do shift; done
node=0
while [ $node -lt ${SLURM_JOB_NUM_NODES:-1} ]; do
    SLURM_NODEID=$node "$@" &
    pids="$pids $!"
    echo $! >> "$FAKE_SLURM/tasks"
    node=$((node + 1))
done
trap 'kill -USR1 $pids' USR1
trap 'kill -KILL $pids' TERM # what srun does when it is to end
code=0
for pid in $pids; do
    wait $pid || code=$?
    while kill -0 $pid 2>/dev/null; do code=0; wait $pid || code=$?; done
done
exit $code
"""
SCONTROL = """#!/bin/sh
if [ "$1" = show ]; then echo localhost; else echo "$@" >> "$FAKE_SLURM/requeued"; fi
"""
PYTHON = f"""#!/bin/sh
exec {sys.executable} "$@"
"""


@pytest.fixture
def cluster(tmp_path: Path) -> dict[str, str]:
    """An environment in which the job files run on this machine."""
    for name, text in {"srun": SRUN, "scontrol": SCONTROL, "python": PYTHON}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "FAKE_SLURM": str(tmp_path),
        "SLURM_JOB_ID": JOB,
        "SLURM_JOB_NODELIST": "localhost",
        "RUN_DIR": str(tmp_path / "run"),
    }


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_job_file_is_valid_and_requests_requeueing(file: Path) -> None:
    subprocess.run(["bash", "-n", file], check=True)
    text = file.read_text()
    for line in ("--requeue", "--open-mode=append", "--signal=B:USR1@"):
        assert f"#SBATCH {line}" in text


Job = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def job() -> Iterator[Job]:
    """Starts a job file; kills it at the end of the test if it is still running."""
    jobs: list[subprocess.Popen[bytes]] = []

    def start(name: str, *arguments: str, env: dict[str, str]) -> subprocess.Popen[bytes]:
        file = PROJECT / "scripts" / "slurm" / f"{name}.sbatch"
        command = ["bash", str(file), *arguments]
        jobs.append(subprocess.Popen(command, cwd=PROJECT, env=env, start_new_session=True))
        return jobs[-1]

    yield start
    for one in jobs:
        with suppress(ProcessLookupError):
            os.killpg(one.pid, signal.SIGKILL)
        one.wait()


def wait_for_checkpoint(run: RunDirectory) -> None:
    end = time.monotonic() + 120
    while not (run.checkpoints / "last.ckpt").exists():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.slow
def test_job_out_of_time_is_saved_requeued_and_continued(
    job: Job, cluster: dict[str, str], tmp_path: Path
) -> None:
    arguments = ("trainer=cpu", "data.batch_size=32", "trainer.max_epochs=20")
    run = RunDirectory(tmp_path / "run")
    first = job("one_gpu", *arguments, env=cluster)
    wait_for_checkpoint(run)
    first.send_signal(signal.SIGUSR1)  # SLURM sends its warning only to the batch shell
    assert first.wait(60) == 138
    assert run.status == "interrupted"
    assert (tmp_path / "requeued").read_text() == f"requeue {JOB}\n"
    assert job("one_gpu", *arguments, env=cluster).wait(300) == 0
    assert run.status == "finished"
    assert run.summary["times_resumed"] == 1


@pytest.mark.slow
def test_preempted_job_is_saved_and_not_requeued_by_the_script(
    job: Job, cluster: dict[str, str], tmp_path: Path
) -> None:
    run = RunDirectory(tmp_path / "run")
    first = job("one_gpu", "trainer=cpu", "trainer.max_epochs=100", env=cluster)
    wait_for_checkpoint(run)
    first.send_signal(signal.SIGTERM)  # SLURM signals the batch shell and the tasks
    for task in (tmp_path / "tasks").read_text().split():
        os.kill(int(task), signal.SIGTERM)
    assert first.wait(60) == 143
    assert run.status == "interrupted"
    assert not (tmp_path / "requeued").exists()


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["ddp_cpu", "fsdp_cpu"])
def test_two_nodes_train_one_run(
    job: Job, cluster: dict[str, str], tmp_path: Path, trainer: str
) -> None:
    env = {**cluster, "SLURM_JOB_NUM_NODES": "2"}
    arguments = (f"trainer={trainer}", "trainer.devices=1", "trainer.max_epochs=2")
    assert job("many_nodes", *arguments, env=env).wait(300) == 0
    run = RunDirectory(tmp_path / "run")
    assert run.status == "finished"
    assert "2 processes" in run.log_file.read_text()


@pytest.mark.slow
def test_array_uses_one_line_of_the_file_for_each_task(
    job: Job, cluster: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "sweep.txt").write_text("seed=1\nseed=2 optimizer.lr=0.01\n")
    env = {**cluster, "SLURM_ARRAY_JOB_ID": "9", "SLURM_ARRAY_TASK_ID": "2"}
    arguments = (str(tmp_path / "sweep.txt"), "trainer=cpu", "debug=fast")
    assert job("array", *arguments, env=env).wait(300) == 0
    config = RunDirectory(tmp_path / "run").config
    assert config["seed"] == 2
    assert config["optimizer"]["lr"] == 0.01


def test_jobs_on_the_same_machine_use_different_ports(
    cluster: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "srun").write_text("#!/bin/sh\necho $ARCLIGHT_RENDEZVOUS\n")
    file = PROJECT / "scripts" / "slurm" / "many_nodes.sbatch"
    outputs = []
    for number in ("29999", "30000"):
        env = {**cluster, "SLURM_JOB_ID": number, "SLURM_JOB_NUM_NODES": "2"}
        done = subprocess.run(["bash", file], cwd=PROJECT, env=env, capture_output=True, text=True)
        outputs.append(done.stdout.strip())
    assert outputs == ["localhost:19999", "localhost:20000"]
