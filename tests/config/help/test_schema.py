"""The JSON schemas that editors use to check config files."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from referencing import Registry, Resource

from arclight.config.help.schema import FOLDER, schemas, settings
from arclight.config.layout import GROUPS
from tests.conftest import CONFIGS, PROJECT


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    files = (CONFIGS / FOLDER).glob("*.json")
    return {file.stem: json.loads(file.read_text()) for file in files}


def faults(stored: dict[str, Any], name: str, content: object) -> list[str]:
    """The errors that an editor would mark in a file of the group."""
    registry = Registry().with_resources(
        (f"{name}.json", Resource.from_contents(schema)) for name, schema in stored.items()
    )
    validator = Draft7Validator({"$ref": f"{name}.json"}, registry=registry)
    return [error.message for error in validator.iter_errors(content)]


def test_stored_schemas_are_up_to_date(stored: dict[str, Any]) -> None:
    """If it fails, run `make schemas`. Own packages may add classes."""
    made = json.loads(json.dumps(schemas()))
    assert set(made) == set(stored) >= {*GROUPS, "train", "experiment"}
    for name, schema in made.items():
        for key, one in schema["definitions"].items():
            if "." in key:
                assert stored[name]["definitions"].get(key) == one, f"{name}: {key}: make schemas"
        for case in schema.get("allOf", ()):
            assert case in stored[name]["allOf"], f"{name}: make schemas"


def test_vscode_settings_list_the_schemas(stored: dict[str, Any]) -> None:
    given = json.loads((PROJECT / ".vscode" / "settings.json").read_text())
    assert given["yaml.schemas"] == settings(stored)["yaml.schemas"]


@pytest.mark.parametrize("group", sorted(file.stem for file in (CONFIGS / FOLDER).glob("*.json")))
def test_every_config_fits_its_schema(stored: dict[str, Any], group: str) -> None:
    folder = CONFIGS / group
    files = sorted(folder.glob("*.yaml")) if group != "train" else [CONFIGS / "train.yaml"]
    for file in files:
        assert not faults(stored, group, yaml.safe_load(file.read_text())), file


CNN = "arclight_zoo.image.cnn.CNN"
IMAGES = "arclight_zoo.pixels.image_data.ImageData"


@pytest.mark.parametrize(
    ("group", "text", "message"),
    [
        ("model", f"{{_target_: {CNN}, widht: 3}}", "'widht' is not one of"),
        ("model", f"{{_target_: {CNN}, widths: wide}}", "not valid under any"),
        ("model", f"{{model: {{_target_: {CNN}, widht: 3}}}}", "'widht' is not one of"),
        ("trainer", "{max_epochs: many}", "not valid under any"),
        ("trainer", "{precision: fp16}", "not valid under any"),
        ("experiment", "{seed: -1}", "not valid under any"),
        (
            "experiment",
            "{optimizer: {_target_: arclight.training.optimizers.sgd, lr: fast}}",
            "any",
        ),
        ("experiment", "{trainer: {max_epochs: 0.5}}", "not valid under any"),
        ("callbacks", "{ema: {_target_: arclight.training.callbacks.ema, dekay: 1}}", "not valid"),
        ("data", f"{{_target_: {IMAGES}, batch_size: 0}}", "not valid under any"),
    ],
)
def test_wrong_configs_do_not_fit(
    stored: dict[str, Any], group: str, text: str, message: str
) -> None:
    assert message in " ".join(faults(stored, group, yaml.safe_load(text)))


@pytest.mark.parametrize(
    ("group", "text"),
    [
        ("model", "{_target_: mylab.net.Net, anything: 3}"),
        ("experiment", "{model: {_target_: mylab.net.Net, anything: [3]}}"),
        ("experiment", "{optimizer: {lr: '${oc.env:LR}'}}"),
    ],
)
def test_own_classes_pass(stored: dict[str, Any], group: str, text: str) -> None:
    assert not faults(stored, group, yaml.safe_load(text))


def test_keys_have_descriptions(stored: dict[str, Any]) -> None:
    assert "a fraction of an epoch" in str(stored["trainer"]["definitions"]["val_check_interval.0"])


def test_schema_folder_has_no_configs() -> None:
    assert not list(Path(CONFIGS / FOLDER).glob("*.yaml"))
