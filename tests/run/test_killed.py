"""Processes that are really killed, with workers, and restarted immediately."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from arclight.config import project
from arclight.run_directory import RunDirectory
from tests.run.test_exact_metrics import Made, ended, made  # noqa: F401
from tests.run.test_exact_resume import assert_equal

EXECUTE = """
import sys
from pathlib import Path
from arclight.config import project
from arclight.run_directory import open_run
project.PYPROJECT = Path(sys.argv[2])
if __name__ == "__main__":
    from arclight.run.execute import execute
    sys.exit(execute(open_run(sys.argv[1])))
"""


def begun(run: RunDirectory, source: Path) -> "subprocess.Popen[bytes]":
    path = os.pathsep.join([str(source), *sys.path])
    command = [sys.executable, "-c", EXECUTE, str(run.path), str(project.PYPROJECT)]
    env = {**os.environ, "PYTHONPATH": path}
    with (run.path / "console.log").open("ab") as log:
        return subprocess.Popen(command, env=env, stdout=log, stderr=log)


def finished(run: RunDirectory, process: "subprocess.Popen[bytes]") -> bool:
    if process.wait(timeout=300):
        pytest.fail((run.path / "console.log").read_text()[-3000:])
    return run.status == "finished"


def rows(run: RunDirectory) -> int:
    return run.metrics_file.read_text().count("\n") if run.metrics_file.exists() else 0


@pytest.mark.slow
@pytest.mark.parametrize(("task", "workers"), [("many.Many", 2), ("lit.Two", 0)])
def test_a_killed_run_can_be_restarted_immediately(
    made: Made,  # noqa: F811
    tmp_path: Path,
    task: str,
    workers: int,
) -> None:
    """Killed twice, each time a few rows further on, whatever it does at that moment."""

    def run_of(name: str) -> RunDirectory:
        run = made(task, max_epochs=10, val_check_interval=3)
        config: dict[str, Any] = run.config
        config["data"]["num_workers"] = workers
        run.config_file.write_text(yaml.safe_dump(config))
        return RunDirectory(run.path.rename(tmp_path / name))

    whole, cut = run_of("undisturbed"), run_of("killed")
    assert finished(whole, begun(whole, tmp_path / "source"))
    chance = random.Random(f"{task} {workers}")
    for kill in range(2):
        process, before = begun(cut, tmp_path / "source"), rows(cut)
        while rows(cut) < before + 12 and process.poll() is None:
            time.sleep(0.001)
        time.sleep(chance.random() * 0.2)
        assert process.poll() is None, f"it ended before kill {kill + 1}"
        process.kill()
        process.wait()
    assert finished(cut, begun(cut, tmp_path / "source"))  # at once: no orphan holds its lock
    assert cut.summary["times_resumed"] == 2
    assert_equal(ended(cut), ended(whole))
