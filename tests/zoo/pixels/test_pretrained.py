"""Preprocessing follows the weights of `model.pretrained` unless the config sets it."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from arclight.config.build import build
from arclight.errors import UserError
from arclight.run.assembly import build_parts
from arclight.run.execute import execute
from arclight.run_directory import create
from arclight.use.evaluate import evaluate
from arclight.use.export import export
from arclight_zoo.pixels.pretrained import pretrained_preprocessing
from arclight_zoo.tokens.tokenizer import published
from tests.checkpoints import clip, gpt2, of_timm, saved, vit
from tests.conftest import Composed
from tests.use.test_export import run_of


def with_processor(folder: Path, **told: Any) -> Path:
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    return folder


def test_preprocessing_of_each_kind_of_weights(composed: Composed, tmp_path: Path) -> None:
    half = {"image_mean": [0.5, 0.5, 0.4], "image_std": [0.2, 0.2, 0.1]}
    known = {"image_size": 8, "channels": 3, "mean": half["image_mean"], "std": half["image_std"]}
    folder = with_processor(saved(vit, tmp_path / "vit"), size={"height": 8, "width": 8}, **half)
    assert pretrained_preprocessing(str(folder)) == known
    folder = with_processor(saved(clip, tmp_path / "clip"), size={"shortest_edge": 8}, **half)
    assert pretrained_preprocessing(str(folder)) == known
    cropped = {"size": {"shortest_edge": 10}, "crop_size": {"height": 8, "width": 8}, **half}
    folder = with_processor(saved(clip, tmp_path / "crop"), **cropped, do_center_crop=True)
    assert pretrained_preprocessing(str(folder)) == {**known, "eval_crop": 0.8}
    assert pretrained_preprocessing(str(saved(gpt2, tmp_path / "gpt"))) == {}
    resnet = pretrained_preprocessing(
        str(saved(partial(of_timm, "test_resnet"), tmp_path / "timm"))
    )
    assert resnet["image_size"] == 160
    assert 0.8 < resnet["eval_crop"] < 1
    assert resnet["channels"] == len(resnet["mean"]) == len(resnet["std"]) == 3

    run = run_of(composed, tmp_path / "run", "cnn")
    facts = run.manifest["data"]
    from_run = {key: facts[key] for key in (*known, "eval_crop")}
    assert pretrained_preprocessing(str(run.path)) == from_run
    assert pretrained_preprocessing(str(export(str(run.path), "safetensors"))) == from_run


def test_the_config_overrides_the_weights(composed: Composed, tmp_path: Path) -> None:
    folder = with_processor(
        saved(vit, tmp_path / "vit"), image_mean=[0.5, 0.5, 0.4], image_std=[0.2, 0.2, 0.1]
    )
    words = ("model=auto", f"model.pretrained={folder}")
    data = following(composed(*words))
    assert (data.image_size, data.channels) == (8, 3)
    assert (data.mean, data.std) == ([0.5, 0.5, 0.4], [0.2, 0.2, 0.1])
    data = following(composed(*words, "data.image_size=16", "data.mean=[0,0,0]"))
    assert (data.image_size, data.mean, data.std) == (16, [0, 0, 0], [0.2, 0.2, 0.1])
    grey = following(composed(*words, "data.channels=1"))  # the mean does not apply
    assert (grey.image_size, grey.mean, grey.std) == (8, None, None)


def following(config: dict[str, Any]) -> Any:
    """The data module, before it reads its data."""
    data = build(config["data"])
    data.follow_weights(config["model"]["pretrained"], None)
    return data


def test_a_run_uses_the_preprocessing_of_the_weights(composed: Composed, tmp_path: Path) -> None:
    folder = with_processor(
        saved(vit, tmp_path / "vit"), image_mean=[0.5, 0.5, 0.4], image_std=[0.2, 0.2, 0.1]
    )
    config = composed("model=auto", f"model.pretrained={folder}", "data.limit=8")
    facts: Any = build_parts(config, tmp_path).data.facts
    assert (facts.channels, facts.mean, facts.std) == (3, [0.5, 0.5, 0.4], [0.2, 0.2, 0.1])


def test_an_unreachable_tokenizer_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arclight.network.reachable", lambda endpoint: False)
    with pytest.raises(UserError, match=r"some/tokenizer is no.* folder .* out of reach"):
        published("some/tokenizer")


@pytest.mark.parametrize("model", ["cnn", "bert", "auto"])
def test_a_missing_network_is_reported(
    composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    monkeypatch.setattr("arclight.network.reachable", lambda endpoint: False)
    config = composed(f"model={model}", "model.pretrained=some/model", "data.limit=8")
    with pytest.raises(
        UserError, match=r"some/model is not a local folder, .* out of reach: no netwo"
    ):
        build_parts(config, tmp_path)


@pytest.mark.parametrize("row", ["model=auto", "model=vit"])
def test_a_started_run_does_not_need_the_weights(
    composed: Composed, tmp_path: Path, row: str
) -> None:
    words = ("data.limit=8", "data.batch_size=4", "trainer.max_epochs=1")
    sizes = ("model.d_model=128", "model.d_ff=256", "model.n_layers=2", "model.n_heads=4")
    own = sizes if row == "model=vit" else ()
    folder = saved(vit, tmp_path / "vit")
    start = f"model.pretrained={folder}"
    config = composed(row, *words, *own, start)
    run = create(tmp_path / "run", tmp_path, "run", config, [], {})
    assert execute(run) == 0
    shutil.rmtree(folder)
    assert evaluate(str(run.path))["test/loss"] == run.summary["metrics"]["test/loss"]
    # nor do runs that start from this run, or from its exported weights
    for start in (run.path, export(str(run.path), "safetensors")):
        again = composed(
            row, *words, f"model.pretrained={start}", *own[: 4 * (row != "model=auto")]
        )
        build_parts(again, tmp_path)
