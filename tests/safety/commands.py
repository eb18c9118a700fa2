"""All commands on a run directory, called in this process, and a run for them."""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from arclight.config.only_reading import only_reading
from arclight.errors import UserError
from arclight.paper.side_by_side import side_by_side
from arclight.report.results import collect
from arclight.run.assembly import load_task
from arclight.run.execute import execute
from arclight.run.opened import open_checked
from arclight.run.weights import build_model
from arclight.run_directory import RunDirectory
from arclight.use.evaluate import evaluate
from arclight.use.export import export
from arclight.use.generate import generate
from arclight.use.load import load
from arclight.use.predict import predict
from arclight.use.reproduce import reproduce

Command = Callable[[str], Any]


def resume(path: str) -> None:
    """Like `train.py resume=PATH`; an error with exit code 2 is raised as `UserError`."""
    run = open_checked(path)
    with only_reading():
        code = execute(run)
    if code == 2:
        raise UserError(run.summary["error"])
    if code:
        raise RuntimeError(run.summary["error"])


def results(path: str) -> None:
    """Like `results.py PATH`, which leaves out runs that it cannot read."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        found = collect([Path(path)])
    if not found:
        raise UserError(said.getvalue() or f"There is no summary.json and config.yaml in {path}.")


def pretrained(path: str) -> None:
    """Like `model.pretrained=PATH` of another run."""
    node = {"_target_": "arclight_zoo.image.cnn.CNN", "in_channels": 1, "num_classes": 10}
    build_model({**node, "pretrained": path}, load_run=lambda run: load_task(run))


def compare(path: str) -> None:
    """Like `results.py compare PATH PATH`."""
    side_by_side(path, path)


def data_of(path: str) -> None:
    """Like a notebook that reads a run's data."""
    _ = load(path).data


COMMANDS: dict[str, Command] = {
    "evaluate": evaluate,
    "predict": lambda run: predict(run, str(Path(run).parent / "a.png")),
    "export": lambda run: export(run, "safetensors"),
    "generate": lambda run: generate(run, "to be"),
    "reproduce": reproduce,
    "load": load,
    "resume": resume,
    "pretrained": pretrained,
    "results": results,
    "compare": compare,
}


READING = ("results", "compare")
"""Commands that build nothing of a run."""


def without_checkpoints(run: RunDirectory) -> None:
    """Turns a finished run into one that was interrupted before its first checkpoint."""
    for file in (*run.checkpoints.iterdir(), run.metrics_file):
        file.unlink()
    run.update_summary(status="interrupted")
