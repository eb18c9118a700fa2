"""Checks of every `configs/model/*.yaml` of the zoo's own models."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import get_object
from omegaconf import OmegaConf

FOLDER = Path(__file__).parents[2] / "configs" / "model"
USED_BY_RUNNER = {"pretrained"}
FROM_DATA = {"num_classes": 10, "in_channels": 3, "image_size": 224}


def config(name: str) -> dict[str, Any]:
    """The YAML, merged with its defaults from the same folder."""
    own = OmegaConf.to_container(OmegaConf.load(FOLDER / f"{name}.yaml"))
    assert isinstance(own, dict)
    if "model" in own:  # a config of the whole run
        return dict(own["model"])
    merged: dict[str, Any] = {}
    for base in own.pop("defaults", []):
        if isinstance(base, str) and base != "_self_":
            merged |= config(base)
    return merged | own


def target_and_options(name: str, **given: Any) -> tuple[Any, dict[str, Any]]:
    """The config's `_target_` and its arguments."""
    options = {**config(name), **given}
    target = get_object(options.pop("_target_"))
    known = inspect.signature(target).parameters
    return target, {k: v for k, v in options.items() if k in known}


def is_own(name: str) -> bool:
    return str(config(name).get("_target_", "")).startswith("arclight.models.")


OWN = sorted(path.stem for path in FOLDER.glob("*.yaml") if is_own(path.stem))


@pytest.mark.parametrize("name", OWN)
def test_names_every_keyword_of_its_constructor(name: str) -> None:
    options = config(name)
    target = inspect.signature(get_object(options.pop("_target_"))).parameters
    assert set(options) | USED_BY_RUNNER == set(target) | USED_BY_RUNNER


@pytest.mark.parametrize("name", OWN)
def test_null_says_where_it_comes_from(name: str) -> None:
    lines = (FOLDER / f"{name}.yaml").read_text().splitlines()
    assert lines[0].startswith("# ")
    for line in lines:
        key = line.strip().split(":")[0]
        if key in FROM_DATA and line[:1] != "#":
            assert line.strip() == f"{key}: null  # from the data"


PARAMETERS = {  # of timm's models with 1000 classes
    "vit_tiny": 5_717_416,
    "vit_small": 22_050_664,
    "vit_base": 86_567_656,
    "vit_large": 304_326_632,
    "vit_huge": 632_045_800,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_published_size(name: str) -> None:
    target, options = target_and_options(name, **FROM_DATA | {"num_classes": 1000})
    with torch.device("meta"):
        model = target(**options)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", ["cnn", "vit"])
def test_takes_the_default_data(name: str) -> None:
    target, options = target_and_options(name, num_classes=10, in_channels=1, image_size=8)
    model = target(**options)
    assert model(torch.randn(2, 1, 8, 8)).shape == (2, 10)
