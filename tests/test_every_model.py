"""Every config in configs/model trains a few steps on its own default data."""

from pathlib import Path

import pytest
from PIL import Image

from arclight.run.execute import execute
from arclight.run_directory import RunDirectory, create
from arclight.use.evaluate import evaluate
from arclight.use.generate import generate
from arclight.use.predict import predict
from tests.checkpoints import saved, vit
from tests.conftest import Composed, options

FEW = ("data.limit=8", "data.batch_size=4", "trainer.max_epochs=1", "trainer.log_every_n_steps=1")
SIZES = {"vit_small", "vit_base", "vit_large", "vit_huge"}  # vit_tiny with other numbers


@pytest.mark.parametrize("model", [m for m in options("model") if m not in SIZES])
def test_model_trains_evaluates_and_predicts(
    composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    small = ["model.n_layers=1"] if model == "vit_tiny" else []
    small += ["task.weight=0"] if model == "student" else []  # without a teacher
    published = [f"model.pretrained={saved(vit, tmp_path / 'vit')}"] if model == "auto" else []
    config = composed(f"model={model}", *FEW, *small, *published)
    monkeypatch.setattr("arclight_zoo.generation.judge.STEPS", 10)  # training steps of the judge
    run = create(tmp_path / model, tmp_path, model, config, [], {})
    assert execute(run) == 0
    assert run.summary["steps"] == 2
    tested = {k: v for k, v in run.summary["metrics"].items() if k.startswith("test/")}
    again = evaluate(str(run.path))
    assert {k: v for k, v in again.items() if k.startswith("test/")} == tested
    answers(run, tmp_path)


def answers(run: RunDirectory, folder: Path) -> None:
    """Predicts on a new input of the kind that the model was trained on."""
    kind = run.manifest["data"]["kind"].rpartition(".")[2]
    if kind == "TextFacts":
        new = folder / "new.txt"
        new.write_text("def read(file):\nthe 3rd of May 1999\n")
    elif kind == "TableFacts":
        columns = run.manifest["data"]["inputs"]["numbers"]
        new = folder / "new.csv"
        new.write_text(f"{','.join(columns)}\n{','.join('1' for _ in columns)}\n")
    else:
        new = folder / "new.png"
        Image.new("RGB", (20, 24), (9, 99, 199)).save(new)
    task = run.config["task"]["_target_"].rpartition(".")[2]
    if task in ("AdversarialGeneration", "Diffusion"):  # they generate images
        new = folder / "new.txt"
        new.write_text("3\n")
    if task == "LanguageModelling" and "masked" not in run.config["data"]:
        assert generate(str(run.path), "def ", length=3).startswith("def ")
        return
    if task == "LanguageModelling":
        new.write_text("def <mask>(file):\n<mask> 3rd of <mask> 1999\n")
    header, *rows = predict(str(run.path), str(new))
    assert len(rows) == (2 if kind == "TextFacts" else 1)
    assert all(len(row) == len(header) for row in rows)
