"""Every config in configs/experiment composes, passes the check and builds its model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from arclight.config.build import build
from arclight.config.checks.check import check
from arclight.run.execute import execute
from arclight.run_directory import create
from tests.conftest import CONFIGS, Composed, options

EXPERIMENTS = [name for name in options("experiment") if name != "best_of"]  # not a recipe
MODELS = set(options("model"))
NEEDS_A_PATH = ("sst2_bert", "gpt_shakespeare", "gpt_shakespeare_gpu", "gpt_124m",
                "imagenet_resnet50", "imagenet_vit_s16")  # fmt: skip
# Facts of the data that are not in the config.
FACTS = {"num_classes": 10, "in_channels": 3, "image_size": 32, "vocab_size": 65, "context": 64,
         "pad": 0, "start": 2, "end": 3,
         "num_numbers": 10, "cardinalities": [3], "num_outputs": 2}  # fmt: skip


def recipe(composed: Composed, name: str, *overrides: str) -> dict[str, Any]:
    path = ["data.path=/nowhere"] if name in NEEDS_A_PATH else []
    return composed(f"experiment={name}", *path, *overrides)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_composes_and_builds_its_model(composed: Composed, name: str) -> None:
    config = recipe(composed, name)
    check(config)
    assert config["model"].pop("pretrained") is None
    known = {**FACTS, **{k: v for k, v in config["data"].items() if k in FACTS and v}}
    given = {k: known[k] for k, v in config["model"].items() if v is None and k in known}
    with torch.device("meta"):
        model = build(config["model"], **given)
    assert sum(p.numel() for p in model.parameters()) > 1_000


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_value_of_the_experiment_is_used(composed: Composed, name: str) -> None:
    content = OmegaConf.load(CONFIGS / "experiment" / f"{name}.yaml")
    config = recipe(composed, name)
    for key, value in content.items():
        if key != "defaults":
            held = OmegaConf.create({key: config[str(key)]})
            assert OmegaConf.merge(held, {key: value}) == held, key


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_header_has_command_hardware_time_and_score(name: str) -> None:
    text = (CONFIGS / "experiment" / f"{name}.yaml").read_text()
    head = [line for line in text.splitlines() if line.startswith("# ")]
    assert head[0] == "# @package _global_"
    for key in ("Command:  python train.py experiment=" + name, "Hardware: ", "Time:  ", "Score: "):
        assert any(line.startswith(f"# {key}") for line in head), key


def test_gpt_124m_has_124_million_parameters(composed: Composed) -> None:
    config = recipe(composed, "gpt_124m")["model"]
    del config["pretrained"]
    with torch.device("meta"):
        model = build(config, vocab_size=50257, context=1024)
    biases = 12 * 9 * 768 + 12 * 2 * 768 + 768  # this recipe has no biases
    assert sum(p.numel() for p in model.parameters()) == 124_439_808 - biases


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in ImageNet's layout: noise images of different sizes in two classes."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 2)):
        for name in ("n01440764", "n01443537"):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 256, (70 + i, 90, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{i}.JPEG")
    return root


@pytest.mark.parametrize("name", ["imagenet_resnet50", "imagenet_vit_s16"])
def test_imagenet_recipes_train_on_a_folder(
    composed: Composed,
    folder: Path,
    tmp_path: Path,
    name: str,
) -> None:
    small = ["model.n_layers=1"] if "vit" in name else ["model.name=resnet26"]
    config = recipe(
        composed, name, f"data.path={folder}", "trainer=cpu", "trainer.max_epochs=1",
        "data.batch_size=6", "data.image_size=64", "data.num_workers=1", "compile=false", *small,
    )  # fmt: skip
    run = create(tmp_path / name, tmp_path, name, config, [], {})
    assert execute(run) == 0
    assert run.summary["steps"] == 2
    assert run.summary["metrics"]["val/accuracy"] >= 0


@pytest.mark.parametrize("debug", options("debug"))
@pytest.mark.parametrize(
    "model", sorted({"blip", "cnn", "bert", "clip", "gpt", "mlp", "t5", "unet"} & MODELS)
)
def test_every_kind_of_task_can_be_debugged(composed: Composed, model: str, debug: str) -> None:
    check(composed(f"model={model}", f"debug={debug}"))
