"""Generators, features and students: each trains, resumes to the same bits, and is asked."""

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from arclight.errors import UserError
from arclight.run.execute import execute
from arclight.run_directory import RunDirectory, create
from arclight.training.checkpoint_files import read
from arclight.training.checkpoints import Checkpoints
from arclight.training.loggers import read_metrics
from arclight.training.record import TIMING
from arclight.use.evaluate import evaluate
from arclight.use.export import export
from arclight.use.predict import predict
from tests.conftest import Composed

FEW = (
    "data.limit=40",
    "data.batch_size=10",
    "trainer.max_epochs=2",
    "trainer.check_val_every_n_epoch=1",
    "trainer.log_every_n_steps=3",
    "callbacks.checkpoints.every_n_steps=3",
    "preflight=false",
)
SAMPLES = ("task.samples=10", "callbacks.ema.decay=0.9")
SMALL = {
    "gan": (*SAMPLES, "model.width=4"),
    "diffusion": (*SAMPLES, "model.widths=[8,16]", "task.sampling_steps=3", "model.dropout=0.1"),
    "self_supervised": ("model.widths=[4,8]",),
    "distillation": ("model.hidden=4",),
}
FIGURES = {
    "gan": {"score", "confident", "distance"},
    "diffusion": {"score", "confident", "distance", "loss"},
    "self_supervised": {"accuracy", "random_accuracy"},
    "distillation": {"accuracy", "loss", "f1", "top5"},
}
GENERATORS = ("gan", "diffusion")


@pytest.fixture(scope="module", autouse=True)
def quick_judge() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("arclight_zoo.generation.judge.STEPS", 10)
        yield


@pytest.fixture(scope="module")
def teacher(composed: Composed, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    folder = tmp_path_factory.mktemp("teachers")
    words = ("model=cnn", "model.widths=[4,8]", *FEW, "data.augment.crop=0")
    run = create(folder / "teacher", folder, "teacher", composed(*words), [], {})
    assert execute(run) == 0
    return run


@pytest.fixture(scope="module")
def ran(composed: Composed, teacher: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Each experiment in miniature, executed once, with copies of the directory at each save."""
    done: dict[str, tuple[RunDirectory, list[RunDirectory]]] = {}

    def run_of(name: str) -> tuple[RunDirectory, list[RunDirectory]]:
        if name in done:
            return done[name]
        folder = tmp_path_factory.mktemp(name)
        named = [f"task.teacher={teacher.path}"] if name == "distillation" else []
        config = composed(f"experiment={name}", *FEW, *SMALL[name], *named)
        run = create(folder / "run", folder, name, config, [], {"command": "test"})
        save, copies = Checkpoints.save, []

        def save_and_copy(self: Checkpoints, trainer: Any) -> None:
            save(self, trainer)
            if self.folder == run.checkpoints:
                copies.append(RunDirectory(folder / f"at-{len(copies)}"))
                shutil.copytree(run.path, copies[-1].path)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Checkpoints, "save", save_and_copy)
            assert execute(run) == 0
        done[name] = run, copies
        return done[name]

    return run_of


def outcome(run: RunDirectory) -> tuple[Any, ...]:
    """The metrics but for the speed, and the weights."""
    rows = [
        {k: v for k, v in row.items() if not k.startswith(TIMING)}
        for row in read_metrics(run.metrics_file)
    ]
    last = read(run.checkpoints / "last.ckpt")
    return rows, run.summary["metrics"], last["state_dict"]


@pytest.mark.parametrize("name", SMALL)
def test_it_measures_what_it_promises_and_draws(ran: Any, name: str) -> None:
    run, _ = ran(name)
    metrics = run.summary["metrics"]
    assert set(metrics) == {f"{stage}/{f}" for stage in ("val", "test") for f in FIGURES[name]}
    assert run.summary["steps"] == 8
    assert (run.plots / "curves.png").is_file()
    if name in GENERATORS:
        assert [f.name for f in sorted((run.plots / "samples").iterdir())] == [
            "epoch=001.png",
            "epoch=002.png",
        ]
        assert (run.plots / "samples.png").is_file()
    else:
        assert (run.plots / "confusion_matrix.png").is_file()


@pytest.mark.parametrize("name", SMALL)
def test_wherever_it_is_cut_it_ends_in_the_same_bits(ran: Any, name: str) -> None:
    run, copies = ran(name)
    rows, metrics, weights = outcome(run)
    assert len(copies) >= 3
    for copy in (copies[0], copies[len(copies) // 2]):
        assert copy.status == "running"  # as a kill leaves it
        assert execute(copy) == 0
        again_rows, again_metrics, again = outcome(copy)
        assert again_rows == rows
        assert again_metrics == metrics
        assert all(torch.equal(again[k], weights[k]) for k in weights)


@pytest.mark.parametrize("name", SMALL)
def test_it_is_evaluated_from_its_directory(ran: Any, name: str) -> None:
    run, _ = ran(name)
    tested = {k: v for k, v in run.summary["metrics"].items() if k.startswith("test/")}
    assert evaluate(str(run.path)) == tested


def pixels_of(file: Path) -> torch.Tensor:
    with Image.open(file) as image:
        return torch.from_numpy(np.array(image))


@pytest.mark.parametrize("name", SMALL)
def test_it_is_asked(ran: Any, tmp_path: Path, name: str) -> None:
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
def test_a_generator_wants_seeds(ran: Any, tmp_path: Path, text: str) -> None:
    run, _ = ran("gan")
    (tmp_path / "seeds.txt").write_text(text)
    with pytest.raises(UserError, match="a whole number, a seed, in each line"):
        predict(str(run.path), str(tmp_path / "seeds.txt"))


@pytest.mark.parametrize("format", ["safetensors", "torch_export"])
@pytest.mark.parametrize("name", SMALL)
def test_it_is_handed_on(ran: Any, tmp_path: Path, name: str, format: str) -> None:
    run, _ = ran(name)
    assert export(str(run.path), format, str(tmp_path / "model")).is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_it_leaves_as_onnx(ran: Any, tmp_path: Path, name: str) -> None:
    run, _ = ran(name)
    assert export(str(run.path), "onnx", str(tmp_path / "model.onnx")).is_file()
    with pytest.raises(UserError, match="transformers and timm have no model like"):
        export(str(run.path), "hf", str(tmp_path / "folder"))


def test_features_are_a_start_for_a_classifier(
    ran: Any, composed: Composed, tmp_path: Path
) -> None:
    run, _ = ran("self_supervised")
    words = ("model=cnn", "model.widths=[4,8]", *FEW, f"model.pretrained={run.path}")
    config = composed(*words, "finetune=head_only")
    classifier = create(tmp_path / "run", tmp_path, "run", config, [], {})
    assert execute(classifier) == 0
    before = read(run.checkpoints / "best.ckpt")["state_dict"]["model.features.0.weight"]
    after = read(classifier.checkpoints / "last.ckpt")["state_dict"]["model.features.0.weight"]
    assert torch.equal(before, after)


def test_a_teacher_of_other_images_is_refused(
    composed: Composed, teacher: RunDirectory, tmp_path: Path
) -> None:
    words = (*FEW, *SMALL["distillation"], f"task.teacher={teacher.path}", "data.image_size=9")
    config = composed("experiment=distillation", *words)
    run = create(tmp_path / "run", tmp_path, "run", config, [], {})
    assert execute(run) == 2
    assert (
        "has learnt from images with image_size 8, and the student's have 9"
        in (run.summary["error"])
    )


def test_a_teacher_that_has_changed_is_noticed(
    ran: Any, teacher: RunDirectory, tmp_path: Path
) -> None:
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
    assert "has other weights than when this run began" in cut.summary["error"]


@pytest.mark.slow
def test_without_a_teacher_one_is_trained_once(composed: Composed, tmp_path: Path) -> None:
    words = ["model=cnn", "model.widths=[4,8]", *FEW]
    config = composed("experiment=distillation", *FEW, *SMALL["distillation"])
    config["task"] |= {"teacher_run": str(tmp_path / "teacher"), "teacher_words": words}
    for name in ("a", "b"):
        run = create(tmp_path / name, tmp_path, name, config, [], {})
        assert execute(run) == 0
    first = RunDirectory(tmp_path / "teacher")
    assert first.status == "finished"
    assert first.summary["times_resumed"] == 0
    expected, again = (outcome(RunDirectory(tmp_path / name)) for name in ("a", "b"))
    assert again[0] == expected[0]


@pytest.mark.slow
def test_features_beat_those_of_random_weights(composed: Composed, tmp_path: Path) -> None:
    run = create(tmp_path / "run", tmp_path, "run", composed("experiment=self_supervised"), [], {})
    assert execute(run) == 0
    figures = run.summary["metrics"]
    assert figures["test/accuracy"] >= 0.9
    assert figures["test/accuracy"] >= figures["test/random_accuracy"] + 0.03
