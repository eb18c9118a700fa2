"""Experiments of the gallery keep the promises of a run in miniature, and in full their bars."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image

from arclight.entry.batch_size import largest_batch
from arclight.entry.preflight import preflight_only
from arclight.run.execute import execute
from arclight.run_directory import RunDirectory, create
from arclight.training.checkpoints import Checkpoints
from arclight.training.loggers import read_metrics
from arclight.use.evaluate import evaluate
from arclight.use.export import export
from arclight.use.predict import predict
from arclight.use.reproduce import reproduce
from tests.conftest import Composed
from tests.fault.harness import Reference, finished, saves, train, undisturbed, unlike
from tests.run.test_exact_resume import assert_equal, outcome

FEW = (
    "data.limit=48",
    "data.batch_size=8",
    "trainer.max_epochs=2",
    "trainer.log_every_n_steps=2",
    "callbacks.checkpoints.every_n_steps=1",
)
SMALL = {
    "segmentation": ("model.widths=[4,8]", "data.augment.flip=true"),
    "multilabel": ("model.widths=[4,8]",),
    "tabular": ("model.width=16",),
    "tabular_regression": ("model.width=16", "task.baseline=boosting"),
}
BARS = {  # below what seeds 0 to 2 reach; configs/model/*.yaml have theirs in tests/test_bars.py
    "multilabel": ("test/map", 0.85),
    "tabular_regression": ("test/r2", 0.45),
}
PICTURES = {
    "segmentation": {"overlays.png", "confusion_matrix.png"},
    "multilabel": {"precision_recall.png"},
    "tabular": {"confusion_matrix.png"},
    "tabular_regression": {"values.png"},
}

each = pytest.mark.parametrize("name", list(SMALL))
Started = Callable[..., RunDirectory]


@pytest.fixture
def started(composed: Composed, tmp_path: Path) -> Started:
    def start(name: str, *words: str) -> RunDirectory:
        config = composed(f"experiment={name}", *FEW, *SMALL[name], *words)
        return create(tmp_path / name, tmp_path, name, config, [], {"command": "test"})

    return start


def something_new(name: str, run: RunDirectory, folder: Path) -> Path:
    """What the run may be asked."""
    if name.startswith("tabular"):
        columns = run.manifest["data"]["inputs"]["numbers"]
        file = folder / "new.csv"
        with file.open("w", newline="") as opened:
            csv.writer(opened).writerows([columns, [1.5] * len(columns), [""] * len(columns)])
        return file
    images = folder / "new"
    images.mkdir()
    Image.new("L", (60, 40), 99).save(images / "a.png")
    Image.new("RGB", (48, 48), (9, 99, 199)).save(images / "b.jpg")
    return images


@each
def test_it_trains_is_cut_and_answers(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The undisturbed run is copied at one of its saves, as a kill leaves it, and executed."""
    run, at = started(name), Random(name).randint(1, 11)
    save = Checkpoints.save

    def save_and_copy(self: Checkpoints, trainer: Any) -> None:
        save(self, trainer)
        if self.folder == run.checkpoints and trainer.global_step == at:
            shutil.copytree(run.path, tmp_path / "cut", dirs_exist_ok=True)

    monkeypatch.setattr(Checkpoints, "save", save_and_copy)
    assert execute(run) == 0
    assert {file.name for file in run.plots.iterdir()} == {"curves.png", *PICTURES[name]}
    cut = RunDirectory(tmp_path / "cut")
    assert execute(cut) == 0
    assert_equal(outcome(cut), outcome(run))

    for figure, value in evaluate(str(run.path)).items():
        assert run.summary["metrics"][figure] == value
    header, *rows = predict(str(run.path), str(something_new(name, run, tmp_path)))
    assert len(rows) == 2
    assert all(len(row) == len(header) and all(row[2:]) for row in rows)


@pytest.mark.slow
@each
@pytest.mark.parametrize("form", ["onnx", "torch_export"])
def test_it_is_exported(started: Started, tmp_path: Path, name: str, form: str) -> None:
    run = started(name, "trainer.max_steps=1")
    assert execute(run) == 0
    assert export(str(run.path), form, str(tmp_path / form)).is_file()


@pytest.mark.slow
@each
def test_it_is_done_again(started: Started, name: str) -> None:
    run = started(name, "deterministic=true")
    assert execute(run) == 0
    assert reproduce(str(run.path)) == 0


@each
def test_its_costs_are_known(started: Started, name: str) -> None:
    found = preflight_only(started(name).config)
    assert found.step is not None
    assert found.steps == 12


@pytest.mark.slow
@each
def test_a_batch_is_found(started: Started, name: str) -> None:
    config = started(name, "data.limit=16").config
    assert largest_batch(config, 1.0, lambda _: None) in (14, 15, 16)


@each
def test_it_learns_one_batch_by_heart(started: Started, name: str) -> None:
    run = started(
        name, "debug=overfit", "trainer.max_epochs=20", "trainer.log_every_n_steps=1",
        "callbacks.checkpoints.every_n_steps=null", "scheduler=constant",
    )  # fmt: skip
    assert execute(run) == 0
    losses = [
        float(row["train/loss"]) for row in read_metrics(run.metrics_file) if row.get("train/loss")
    ]
    assert len(losses) == 20
    assert sum(losses[-5:]) < sum(losses[:5])


@pytest.mark.slow
@each
@pytest.mark.parametrize("debug", ["fast", "limit", "profile"])
def test_it_is_debugged(composed: Composed, tmp_path: Path, name: str, debug: str) -> None:
    words = ("data.limit=90", "data.batch_size=8", f"debug={debug}", *SMALL[name])
    run = create(tmp_path / name, tmp_path, name, composed(f"experiment={name}", *words), [], {})
    assert execute(run) == 0
    assert (run.path / "profile").is_dir() == (debug == "profile")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["segmentation", "tabular"])
def test_a_kill_costs_nothing(tmp_path: Path, name: str) -> None:
    words = (f"experiment={name}", *FEW, *SMALL[name], "trainer.max_epochs=8")
    reference: Reference = undisturbed(RunDirectory(tmp_path / "undisturbed"), *words)
    run = RunDirectory(tmp_path / "killed")
    with train(run, *words) as command:
        while command.running and saves(run) is None:
            pass
        command.kill()
    assert run.status == "running"
    assert not finished(run, *words)
    assert not unlike(run, reference)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(BARS))
def test_it_reaches_its_bar(composed: Composed, tmp_path: Path, name: str) -> None:
    run = create(tmp_path / name, tmp_path, name, composed(f"experiment={name}"), [], {})
    assert execute(run) == 0
    figure, bar = BARS[name]
    assert run.summary["metrics"][figure] >= bar
