"""Generators, features and students: their metrics, plots and predictions."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from arclight.errors import UserError
from arclight.run.execute import execute
from arclight.run_directory import RunDirectory, create
from arclight.training.checkpoint_files import read
from arclight.use.predict import predict
from tests.conftest import Composed
from tests.run.test_exact_resume import assert_equal, outcome
from tests.zoo.gallery.conftest import Ran
from tests.zoo.gallery.miniature import FEW, MINIATURE

FIGURES = {
    "gan": {"score", "confident", "distance"},
    "diffusion": {"score", "confident", "distance", "loss"},
    "self_supervised": {"accuracy", "random_accuracy"},
    "distillation": {"accuracy", "loss", "f1", "top5"},
}
GENERATORS = ("gan", "diffusion")


@pytest.mark.parametrize("name", FIGURES)
def test_metrics_and_plots(ran: Ran, name: str) -> None:
    run, _ = ran(name)
    metrics = run.summary["metrics"]
    assert set(metrics) == {f"{stage}/{f}" for stage in ("val", "test") for f in FIGURES[name]}
    assert run.summary["steps"] == 12
    if name in GENERATORS:
        sheets = sorted(file.name for file in (run.plots / "samples").iterdir())
        assert sheets == ["epoch=001.png", "epoch=002.png"]


def pixels_of(file: Path) -> torch.Tensor:
    with Image.open(file) as image:
        return torch.from_numpy(np.array(image))


@pytest.mark.parametrize("name", FIGURES)
def test_predictions(ran: Ran, tmp_path: Path, name: str) -> None:
    run, _ = ran(name)
    if name in GENERATORS:
        asked = tmp_path / "seeds.txt"
        asked.write_text("7\n\n3\n")
        output = tmp_path / "samples.csv"
        predict(str(run.path), str(asked), str(output))
        rows = list(csv.reader(output.read_text().splitlines()))
        assert rows[0] == ["seed", "file"]
        assert [row[0] for row in rows[1:]] == ["7", "", "3"]
        files = [Path(row[1]) for row in rows[1:] if row[1]]
        assert [pixels_of(file).shape for file in files] == [(8, 8), (8, 8)]
        asked.write_text("3\n")  # its image depends on the seed alone
        header, row = predict(str(run.path), str(asked))
        assert len(header) == len(row) == 65
        pixels = torch.tensor([float(v) for v in row[1:]]) * 255
        assert (pixels - pixels_of(files[1]).flatten()).abs().max() < 0.6
        return
    Image.new("L", (9, 9), 99).save(tmp_path / "new.png")
    header, row = predict(str(run.path), str(tmp_path / "new.png"))
    assert header[1] == ("feature_0" if name == "self_supervised" else "label")
    assert len(row) == len(header) == (9 if name == "self_supervised" else 12)


@pytest.mark.parametrize("text", ["seven", "", "-1"])
def test_generators_reject_inputs_that_are_not_seeds(ran: Ran, tmp_path: Path, text: str) -> None:
    run, _ = ran("gan")
    (tmp_path / "seeds.txt").write_text(text)
    with pytest.raises(UserError, match="a whole number, a seed, in each line"):
        predict(str(run.path), str(tmp_path / "seeds.txt"))


def test_classifiers_can_start_from_features(ran: Ran, composed: Composed, tmp_path: Path) -> None:
    run, _ = ran("self_supervised")
    words = ("model=cnn", "model.widths=[4,8]", *FEW, f"model.pretrained={run.path}")
    config = composed(*words, "finetune=head_only")
    classifier = create(tmp_path / "run", tmp_path, "run", config, [], {})
    assert execute(classifier) == 0
    before = read(run.checkpoints / "best.ckpt")["state_dict"]["model.features.0.weight"]
    after = read(classifier.checkpoints / "last.ckpt")["state_dict"]["model.features.0.weight"]
    assert torch.equal(before, after)


def test_a_teacher_of_other_images_is_rejected(
    composed: Composed, teacher: RunDirectory, tmp_path: Path
) -> None:
    words = (*FEW, *MINIATURE["distillation"], f"task.teacher={teacher.path}", "data.image_size=9")
    config = composed("experiment=distillation", *words)
    run = create(tmp_path / "run", tmp_path, "run", config, [], {})
    assert execute(run) == 2
    assert (
        "was trained on images with image_size 8, but the student's have 9"
        in (run.summary["error"])
    )


def test_a_changed_teacher_is_rejected(ran: Ran, teacher: RunDirectory, tmp_path: Path) -> None:
    _, copies = ran("distillation")
    cut, other = RunDirectory(tmp_path / "cut"), RunDirectory(tmp_path / "teacher")
    shutil.copytree(copies[0].path, cut.path)
    shutil.copytree(teacher.path, other.path)
    cut.update_summary(status="interrupted")
    shutil.copy(teacher.checkpoints / "last.ckpt", other.checkpoints / "best.ckpt")
    state = torch.load(other.checkpoints / "best.ckpt", weights_only=True)
    state["state_dict"]["model.classifier.bias"] += 1
    torch.save(state, other.checkpoints / "best.ckpt")
    text = cut.config_file.read_text().replace(str(teacher.path), str(other.path))
    cut.config_file.write_text(text)
    shutil.copy(copies[0].checkpoints / "last.ckpt", cut.checkpoints / "last.ckpt")
    assert execute(cut) == 2
    assert "has other weights than when this run started" in cut.summary["error"]


@pytest.mark.slow
def test_a_missing_teacher_is_trained_once(composed: Composed, tmp_path: Path) -> None:
    words = ["model=cnn", "model.widths=[4,8]", *FEW]
    config = composed("experiment=distillation", *FEW, *MINIATURE["distillation"])
    config["task"] |= {"teacher_run": str(tmp_path / "teacher"), "teacher_overrides": words}
    for name in ("a", "b"):
        run = create(tmp_path / name, tmp_path, name, config, [], {})
        assert execute(run) == 0
    first = RunDirectory(tmp_path / "teacher")
    assert first.status == "finished"
    assert first.summary["times_resumed"] == 0
    assert_equal(*(outcome(RunDirectory(tmp_path / name)) for name in ("a", "b")))


@pytest.mark.slow
def test_features_beat_those_of_random_weights(composed: Composed, tmp_path: Path) -> None:
    run = create(tmp_path / "run", tmp_path, "run", composed("experiment=self_supervised"), [], {})
    assert execute(run) == 0
    figures = run.summary["metrics"]
    assert figures["test/accuracy"] >= 0.9
    assert figures["test/accuracy"] >= figures["test/random_accuracy"] + 0.03
