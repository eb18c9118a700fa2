"""Incompatible data, tasks and models are reported before training."""

from pathlib import Path

import pytest
import torch

from arclight.errors import UserError
from arclight.files import write_json
from arclight.run.assembly import build_parts
from arclight.run.panels import opening
from arclight.tasks.task import Task
from tests.conftest import Composed
from tests.pictures import image_folder


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("model=cnn", "data=stdlib_packages"), "learns from labelled images, and the data are la"),
        (("model=cnn", "data=digits_captions"), "and the data are images with texts"),
        (("model=t5", "data=stdlib"), "learns from pairs of texts, and the data are running text"),
        (
            ("model=vit", "data=dates", "task=sequence_to_sequence"),
            "needs image_size and in_channels and num_classes, which these data do not define",
        ),
    ],
)
def test_incompatible_parts_are_user_errors(
    composed: Composed, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        build_parts(composed(*words), tmp_path)


def test_a_model_takes_sizes_by_position(composed: Composed, tmp_path: Path) -> None:
    config = composed("data.limit=64")
    target, sizes = "timm.create_model", {"num_classes": 10, "in_chans": 1}
    config["model"] = {"_target_": target, "_args_": ["resnet18"], "pretrained": False, **sizes}
    parts = build_parts(config, tmp_path)
    assert isinstance(parts.task, Task)
    assert type(parts.task.model).__name__ == "ResNet"


def test_what_the_data_choose_takes_the_place_of_auto(composed: Composed, tmp_path: Path) -> None:
    photographs = image_folder(tmp_path / "set", {"a": 20, "b": 20}, size=(130, 120))
    words = "data=image_folder", "model=resnet", f"data.path={photographs}"
    parts = build_parts(composed(*words), tmp_path)
    assert parts.config["trainer"]["max_epochs"] == parts.chosen["trainer.max_epochs"] == 100
    assert parts.config["data"]["batch_size"] == parts.chosen["data.batch_size"] == 8
    assert parts.chosen["data.image_size"] == 64
    assert parts.chosen["model.small_images"] is False
    said = dict(opening(parts, "", torch.device("cpu"), "32-true", 1))["chosen"]
    assert "trainer.max_epochs=100 data.batch_size=8" in said
    typed = (*words, "trainer.max_epochs=3", "data.batch_size=4", "model.small_images=true")
    parts = build_parts(composed(*typed), tmp_path)
    assert (parts.config["trainer"]["max_epochs"], parts.config["data"]["batch_size"]) == (3, 4)
    assert not parts.chosen.keys() & {"trainer.max_epochs", "data.batch_size"}


def test_a_resumed_run_keeps_its_chosen_values(composed: Composed, tmp_path: Path) -> None:
    write_json(tmp_path / "manifest.json", {"run_id": "x", "chosen": {"trainer.max_epochs": 7}})
    parts = build_parts(composed("trainer.max_epochs=auto", "data.limit=64"), tmp_path)
    assert parts.config["trainer"]["max_epochs"] == parts.chosen["trainer.max_epochs"] == 7
    typed = build_parts(composed("trainer.max_epochs=3", "data.limit=64"), tmp_path)
    assert typed.config["trainer"]["max_epochs"] == 3


def test_data_without_chosen_epochs_need_a_number(composed: Composed, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"type trainer\.max_epochs=N"):
        build_parts(composed("model=bert", "trainer.max_epochs=auto"), tmp_path)
