"""Runs of two steps with configured metrics, losses and targets."""

import math
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sklearn.datasets import load_digits

from arclight.config import project
from arclight.config.checks.check import check
from arclight.errors import UserError
from arclight.run.assembly import build_parts
from arclight.run.execute import execute
from arclight.run_directory import RunDirectory, create
from arclight.training.loggers import read_metrics
from arclight.use.evaluate import evaluate
from arclight.use.export import export
from arclight.use.predict import predict
from tests.conftest import Composed

SHORT = ("data.limit=64", "data.batch_size=32", "trainer.max_steps=2", "model.widths=[8,8]")
TEXT = ("model=bert", "data=stdlib_packages", "data.limit=64", "trainer.max_steps=2")


def metric(name: str, target: str, **options: Any) -> str:
    given = "".join(f", {key}: {value}" for key, value in options.items())
    return f"+task.metrics.{name}={{_target_: torchmetrics.{target}{given}}}"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, image in enumerate(load_digits().images[:3]):
        Image.fromarray((image * 15).astype("uint8")).save(folder / f"{i}.png")
    return folder


def trained(config: dict[str, Any], folder: Path) -> RunDirectory:
    check(config)
    config["trainer"]["log_every_n_steps"] = 1  # Lightning warns if there are fewer steps
    run = create(folder / "run", folder, "run", config, [], {})
    assert execute(run) == 0, run.log_file.read_text()
    return run


@pytest.mark.parametrize("mode", ["max", "min"])
def test_a_configured_metric_selects_the_best_checkpoint(
    composed: Composed, tmp_path: Path, mode: str
) -> None:
    words = (
        *("trainer.max_steps=4", "callbacks.checkpoints.monitor=val/auroc"),
        *(f"callbacks.checkpoints.mode={mode}", "optimizer.lr=0.1"),
        metric("auroc", "classification.MulticlassAUROC", num_classes=10),
    )
    run = trained(composed(*SHORT, *words), tmp_path)
    found = [float(v) for row in read_metrics(run.metrics_file) if (v := row.get("val/auroc"))]
    assert len(set(found)) == 2  # after each epoch
    best = max(found) if mode == "max" else min(found)
    assert run.summary["metrics"]["val/auroc"] == pytest.approx(best)
    assert evaluate(str(run.path))["test/auroc"] == run.summary["metrics"]["test/auroc"]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ((*TEXT, metric("auroc", "classification.MulticlassAUROC", num_classes=8)), "auroc"),
        (
            (
                *("model=gpt", "data.limit=32", "trainer.max_steps=2"),
                metric("again", "text.Perplexity", ignore_index=-100),
            ),
            "again",
        ),
        (
            (
                *("model=t5", "data=dates", "data.limit=32", "trainer.max_steps=2"),
                metric("again", "text.Perplexity", ignore_index=-100),
            ),
            "again",
        ),
        (
            (
                *("model=blip", "data=digits_captions", "data.limit=64", "trainer.max_steps=2"),
                metric("again", "text.Perplexity", ignore_index=-100),
            ),
            "again",
        ),
        (
            (
                *("model=clip", "data=digits_captions", "data.limit=64", "trainer.max_steps=2"),
                metric(
                    "again", "classification.MulticlassAccuracy", num_classes=10, average="micro"
                ),
            ),
            "again",
        ),
    ],
    ids=["text", "gpt", "t5", "blip", "clip"],
)
def test_each_task_computes_configured_metrics(
    composed: Composed, tmp_path: Path, words: tuple[str, ...], name: str
) -> None:
    figures = trained(composed(*words), tmp_path).summary["metrics"]
    assert f"test/{name}" in figures
    if name == "again":  # the task has the same metric under another name
        same = "test/accuracy" if "model=clip" in words else "test/perplexity"
        expected = figures.get(same) or math.exp(figures["test/loss"])
        assert figures["test/again"] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("words", [SHORT, TEXT], ids=["image", "text"])
def test_focal_loss_with_balanced_classes(
    composed: Composed, tmp_path: Path, words: tuple[str, ...]
) -> None:
    task = ("task=text_classification",) if words is TEXT else ()
    config = composed(*words, *task, "+task/loss=focal", "task.class_weights=balanced")
    assert config["task"]["label_smoothing"] == 0
    run = trained(config, tmp_path)
    counts = run.manifest["data"]["class_counts"]
    assert sum(counts) == run.manifest["data"]["sizes"]["train"] == 64
    assert "test/loss" in evaluate(str(run.path))


def test_several_classes(composed: Composed, tmp_path: Path, pictures: Path) -> None:
    words = (
        "task=image_multilabel",
        metric("auroc", "classification.MultilabelAUROC", num_labels=10, average="micro"),
    )
    run = trained(composed(*SHORT, *words), tmp_path)
    assert {"val/map", "test/f1", "test/f1_micro", "test/auroc"} <= set(run.summary["metrics"])
    assert evaluate(str(run.path))["test/map"] == run.summary["metrics"]["test/map"]
    header, *rows = predict(str(run.path), str(pictures))
    assert header == ["file", "labels", *"0123456789"]
    for row in rows:
        there = [name for name, p in zip("0123456789", row[2:], strict=True) if float(p) >= 0.5]
        assert row[1] == "|".join(there)
    export(str(run.path), "torch_export")
    assert (run.path / "model.pt2").exists()


def test_numbers(composed: Composed, tmp_path: Path, pictures: Path) -> None:
    words = ("task=image_regression", "+task.loss._target_=torch.nn.HuberLoss")
    run = trained(
        composed(*SHORT, *words, metric("percent", "MeanAbsolutePercentageError")), tmp_path
    )
    assert {"val/mae", "test/r2", "test/percent", "val/loss"} <= set(run.summary["metrics"])
    assert evaluate(str(run.path))["test/mae"] == run.summary["metrics"]["test/mae"]
    header, *rows = predict(str(run.path), str(pictures))
    assert header == ["file", "value"]
    assert [len(row) for row in rows] == [2, 2, 2]
    export(str(run.path), "torch_export")


def test_targets_of_another_task_are_rejected(composed: Composed, tmp_path: Path) -> None:
    config = composed(*SHORT, "data.targets=values")
    with pytest.raises(UserError, match="learns from labelled images, and the data are images wi"):
        build_parts(config, tmp_path)
    captions = composed("model=clip", "data=digits_captions", "data.targets=multilabel")
    with pytest.raises(UserError, match="is for images without captions"):
        build_parts(captions, tmp_path)


PLAIN = '''
"""A data module that knows nothing of Arclight."""

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader, TensorDataset


class Noise(LightningDataModule):
    def loader(self, seed):
        draw = torch.Generator().manual_seed(seed)
        images, labels = torch.randn(32, 1, 8, 8, generator=draw), torch.arange(32) % 4
        return DataLoader(TensorDataset(images, labels), batch_size=8)

    def train_dataloader(self):
        return self.loader(0)

    def val_dataloader(self):
        return self.loader(1)

    def test_dataloader(self):
        return self.loader(2)
'''


@pytest.mark.usefixtures("plots")
def test_data_without_facts(
    composed: Composed, tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "src" / "plainlab"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "data.py").write_text(PLAIN)
    (tmp_path / "pyproject.toml").write_text('[tool.arclight]\npackages = ["plainlab"]\n')
    monkeypatch.setattr(project, "PYPROJECT", tmp_path / "pyproject.toml")
    monkeypatch.syspath_prepend(str(package.parent))
    config = composed("trainer.max_steps=4", "model.widths=[8,8]", "data.batch_size=8")
    config["data"] = {"_target_": "plainlab.data.Noise"}
    config["model"] |= {"num_classes": 4, "in_channels": 1}
    run = trained(config, tmp_path)
    sys.modules.pop("plainlab.data", None)
    assert {"val/accuracy", "test/f1"} <= set(run.summary["metrics"])
    assert (run.plots / "confusion_matrix.png").exists()
    with pytest.raises(UserError, match="set its attribute `facts` to an ImageFacts"):
        predict(str(run.path), str(pictures))
    with pytest.raises(UserError, match="set its attribute `facts` to an ImageFacts"):
        export(str(run.path), "torch_export")
