"""The model card of an export: what the model is, what it learnt from, and how good it is."""

from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from arclight.use.example import usage_of
from arclight.use.export_files import write_beside
from arclight.use.trained import Trained, trained
from tests.conftest import Composed
from tests.use.test_export import run_of


@pytest.fixture
def one(composed: Composed, tmp_path: Path) -> Trained:
    run = run_of(composed, tmp_path, "vit")
    run.update_summary(
        seconds=12.5,
        metrics={"val/accuracy": 0.91, "test/accuracy": 0.875, "test/loss": 0.5, "train/loss": 1.0},
    )
    run.update_manifest(
        command="python train.py model=vit",
        choices={"model": "vit", "data": "digits"},
        git={"commit": "abc123", "branch": "main", "patch": "+ a line"},
        hardware={"cpu": "EPYC", "cores": 2, "threads": 2, "gpus": []},
        packages={"torch": "2.15.0", "timm": "1.0.31"},
        python="3.11.7",
    )
    return trained(run)


def test_the_card_of_a_folder(one: Trained, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    write_beside(one, "hf", folder, usage_of(one, "hf"), "mit")
    read = ModelCard.load(folder / "README.md")
    head = read.data.to_dict()
    assert head["library_name"] == "transformers"
    assert head["pipeline_tag"] == "image-classification"
    assert head["license"] == "mit"
    assert head["metrics"] == ["accuracy"]
    assert "arclight" in head["tags"]
    results = {(r.dataset_split, r.metric_type): r.metric_value for r in read.data.eval_results}
    assert results["test", "accuracy"] == 0.875
    for words in (
        "ViT with", "`digits`", "8 for train", "| accuracy | 0.91 | 0.875 |",
        "abc123` with changes", "python train.py model=vit", "EPYC, 2 CPU cores",
        "torch==2.15.0", "3.11.7",
        (folder / "example.py").read_text(),
    ):  # fmt: skip
        assert words in read.text


def test_the_card_of_a_file(one: Trained, tmp_path: Path) -> None:
    for format, file in (("onnx", "model.onnx"), ("safetensors", "model.safetensors")):
        (tmp_path / file).touch()
        write_beside(one, format, tmp_path / file, usage_of(one, format), None)
    assert {f.name for f in tmp_path.glob("model*")} == {
        *("model.onnx", "model_onnx_example.py", "model_onnx_README.md"),
        *("model.safetensors", "model_safetensors_README.md"),
    }
    text = (tmp_path / "model_onnx_README.md").read_text()
    assert text.startswith("# vit-digits\n")
    assert "## Licence\n\nnot stated" in text
    text = (tmp_path / "model_safetensors_README.md").read_text()
    assert "model.pretrained=model.safetensors" in text


def test_an_example_of_arrays(one: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(type(one.task), "usage", unknown)
    usage = usage_of(one, "onnx")
    assert usage is not None
    assert usage.asks == "ARRAYS.npz"
    assert "images float32 (batch, 1, 8, 8)" in usage.code
