"""A W&B sweep: the command of its config, expanded and executed like by an agent."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from arclight.run_directory import RunDirectory
from tests.conftest import CONFIGS, PROJECT

SWEEP = yaml.safe_load((CONFIGS / "wandb_sweep.yaml").read_text())


def proposed(parameter: dict[str, Any]) -> Any:
    """A value as the server would propose it."""
    if "values" in parameter:
        return parameter["values"][-1]
    return parameter.get("value", parameter.get("max"))


def expanded(values: dict[str, Any]) -> list[str]:
    """The config's command, expanded as by `wandb.wandb_agent.Agent._command_run`."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    macros = create_sweep_command_args({"args": {k: {"value": v} for k, v in values.items()}})
    macros |= {"interpreter": ["python"], "program": [SWEEP["program"]], "env": ["/usr/bin/env"]}
    command: list[str] = []
    for word in map(str, create_sweep_command(list(SWEEP["command"]))):
        command += macros[word[2:-1]] if word.startswith("${") else [word]
    return command


def test_ranges_are_numbers_and_metric_is_the_monitor() -> None:
    for parameter in SWEEP["parameters"].values():
        assert all(not isinstance(parameter.get(end), str) for end in ("min", "max"))
    task = yaml.safe_load((CONFIGS / "task" / "image_classification.yaml").read_text())
    default = task["callbacks"]["checkpoints"]
    assert SWEEP["metric"]["name"] == default["monitor"]
    assert SWEEP["metric"]["goal"].startswith(default["mode"])


def test_agents_command_trains_a_run(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    for name in ("train.py", "configs"):  # an agent starts it in the project's folder
        (tmp_path / name).symlink_to(PROJECT / name)
    values = {key: proposed(parameter) for key, parameter in SWEEP["parameters"].items()}
    command = expanded({**values, "trainer.max_epochs": 1, "data.limit": 128})
    assert command[:3] == ["/usr/bin/env", "python", "train.py"]
    agent = {"WANDB_SWEEP_ID": "sweep123", "WANDB_RUN_ID": "run45678", "WANDB_MODE": "offline"}
    agent["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # without W&B's service of this process
    env = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    done = subprocess.run(
        command, cwd=tmp_path, env={**env, **agent}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (tmp_path / "runs").iterdir()
    run = RunDirectory(path)
    assert run.status == "finished"
    assert run.config["optimizer"]["lr"] == values["optimizer.lr"]
    assert run.config["data"]["batch_size"] == values["data.batch_size"]
    assert run.manifest["run_id"] == "run45678"  # the server knows the run by this id
    (logged,) = (path / "wandb").glob("offline-run-*")
    assert logged.name.endswith("run45678")
