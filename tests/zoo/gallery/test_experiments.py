"""All tools for runs work on every experiment of the gallery; and their least scores."""

import csv
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
from PIL import Image

from arclight.entry.batch_size import largest_batch
from arclight.entry.preflight import preflight_only
from arclight.errors import UserError
from arclight.report.metrics import chosen_metrics
from arclight.report.results import collect
from arclight.report.rows import run_rows
from arclight.run.execute import execute
from arclight.run_directory import RunDirectory, create
from arclight.training.loggers import read_metrics
from arclight.use.evaluate import evaluate
from arclight.use.export import export
from arclight.use.predict import predict
from arclight.use.reproduce import reproduce
from tests.conftest import Composed
from tests.run.test_exact_resume import assert_equal, outcome
from tests.zoo.gallery.conftest import Ran, Worded
from tests.zoo.gallery.miniature import MINIATURE

BARS = {  # below what seeds 0 to 2 reach; configs/model/*.yaml have theirs in tests/test_bars.py
    "multilabel": ("test/map", 0.85),
    "tabular_regression": ("test/r2", 0.45),
}
CURVES, MATRIX, SHEETS = "curves.png", "confusion_matrix.png", {"samples", "samples.png"}
SCORES = "class_scores.png"
CLASSES = {MATRIX, SCORES, "calibration.png"}
PICTURES = {
    "segmentation": {CURVES, MATRIX, SCORES, "overlays.png"},
    "multilabel": {CURVES, "precision_recall.png"},
    "tabular": {CURVES, *CLASSES},
    "tabular_regression": {CURVES, "values.png"},
    "gan": {CURVES, *SHEETS},
    "diffusion": {CURVES, *SHEETS},
    "self_supervised": {CURVES, *CLASSES, "mistakes.png"},
    "distillation": {CURVES, *CLASSES, "mistakes.png"},
}


class Asked(NamedTuple):
    """An experiment, its run, a new folder, and a function that composes its config."""

    name: str
    run: RunDirectory
    folder: Path
    config: Callable[..., dict[str, Any]]


def something_new(asked: Asked) -> Path:
    """Two inputs for predictions of the run."""
    if asked.name.startswith("tabular"):
        columns = asked.run.manifest["data"]["inputs"]["numbers"]
        file = asked.folder / "new.csv"
        with file.open("w", newline="") as opened:
            csv.writer(opened).writerows([columns, [1.5] * len(columns), [""] * len(columns)])
        return file
    if asked.name in ("gan", "diffusion"):
        file = asked.folder / "new.txt"
        file.write_text("3\n7\n")
        return file
    images = asked.folder / "new"
    images.mkdir()
    Image.new("L", (60, 40), 99).save(images / "a.png")
    Image.new("RGB", (48, 48), (9, 99, 199)).save(images / "b.jpg")
    return images


def evaluated(asked: Asked) -> None:
    tested = evaluate(str(asked.run.path))
    assert tested
    assert tested.items() <= asked.run.summary["metrics"].items()


def predicted(asked: Asked) -> None:
    new, run = something_new(asked), str(asked.run.path)
    header, *rows = predict(run, str(new))
    assert len(rows) == 2
    assert all(len(row) == len(header) and all(row[2:]) for row in rows)
    output = asked.folder / "answers.csv"
    predict(run, str(new), str(output))
    assert len(output.read_text().splitlines()) == 3
    wrong = asked.folder / "wrong.bin"
    wrong.write_bytes(b"\x00\x01")
    with pytest.raises(UserError, match=str(wrong)):
        predict(run, str(wrong))


def exported(asked: Asked, *forms: str) -> None:
    for form in forms:
        assert export(str(asked.run.path), form, str(asked.folder / form)).is_file()


def handed_on(asked: Asked) -> None:
    exported(asked, "safetensors", "torch_export")
    with pytest.raises(UserError, match=r"have no model like .*: type format=safetensors, onnx or"):
        export(str(asked.run.path), "hf", str(asked.folder / "hf"))


def as_onnx(asked: Asked) -> None:
    exported(asked, "onnx")


def done_again(asked: Asked) -> None:
    assert reproduce(str(asked.run.path), output=str(asked.folder / "again")) == 0


def foreseen(asked: Asked) -> None:
    found = preflight_only(asked.config())
    assert found.step is not None
    assert found.steps == 12


def batch_found(asked: Asked) -> None:
    assert largest_batch(asked.config("data.limit=16"), 1.0, lambda _: None) in (14, 15, 16)


def listed_in_a_table(asked: Asked) -> None:
    runs = collect([asked.run.path])
    (row,) = run_rows(runs, chosen_metrics(runs, None))
    assert asked.run.config["callbacks"]["checkpoints"]["monitor"] in row


def debugged(asked: Asked, debug: str, *words: str) -> RunDirectory:
    config = asked.config("data.limit=90", f"debug={debug}", *words)
    run = create(asked.folder / "debugged", asked.folder, asked.name, config, [], {})
    assert execute(run) == 0
    assert run.config["callbacks"]["checkpoints"]["monitor"] in run.summary["metrics"]
    return run


def debugged_fast(asked: Asked) -> None:
    assert debugged(asked, "fast", "trainer.max_epochs=1").summary["steps"] == 2


def debugged_in_part(asked: Asked) -> None:
    assert debugged(asked, "limit").summary["epochs"] == 2


def profiled(asked: Asked) -> None:
    assert (debugged(asked, "profile").path / "profile").is_dir()


def overfitted(asked: Asked) -> None:
    words = ("trainer.max_epochs=20", "trainer.log_every_n_steps=1", "scheduler=constant")
    run = debugged(asked, "overfit", *words)
    rows = [row for row in read_metrics(run.metrics_file) if row.get("train/loss")]
    assert len(rows) == 20
    if asked.name != "gan":  # its losses need not fall
        losses = [float(row["train/loss"]) for row in rows]
        assert sum(losses[-5:]) < sum(losses[:5])


QUICK = (evaluated, predicted, handed_on, foreseen, listed_in_a_table, debugged_fast)
SLOW = (done_again, batch_found, debugged_in_part, overfitted)
FEW_OF_THEM = {  # the others show nothing else
    as_onnx: ("multilabel", "tabular_regression", "self_supervised"),  # see tests/use for models
    profiled: ("tabular", "gan"),  # gan has its own loop
}
ACTS = [
    *((act, name) for act in QUICK for name in MINIATURE),
    *(
        pytest.param(act, name, marks=pytest.mark.slow)
        for act in (*SLOW, *FEW_OF_THEM)
        for name in FEW_OF_THEM.get(act, MINIATURE)
    ),
]


@pytest.mark.xdist_group("gallery")  # they share the runs
@pytest.mark.parametrize(("act", "name"), ACTS)
def test_tools_work_on_every_experiment(
    act: Callable[[Asked], None],
    name: str,
    ran: Ran,
    worded: Worded,
    composed: Composed,
    tmp_path: Path,
) -> None:
    def config(*more: str) -> dict[str, Any]:
        return composed(*worded(name, *more))

    act(Asked(name, ran(name).run, tmp_path, config))


@pytest.mark.parametrize("name", MINIATURE)
def test_resumed_runs_are_bitwise_equal(ran: Ran, name: str) -> None:
    run, copies = ran(name)
    assert {file.name for file in run.plots.iterdir()} == PICTURES[name]
    copy = Random(name).choice(copies[:-1])
    assert copy.status == "running"  # as a kill leaves it
    assert execute(copy) == 0
    assert_equal(outcome(copy), outcome(run))


@pytest.mark.slow
@pytest.mark.parametrize("name", list(BARS))
def test_experiments_reach_their_scores(composed: Composed, tmp_path: Path, name: str) -> None:
    run = create(tmp_path / name, tmp_path, name, composed(f"experiment={name}"), [], {})
    assert execute(run) == 0
    figure, bar = BARS[name]
    assert run.summary["metrics"][figure] >= bar
