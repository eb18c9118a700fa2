"""Data, task and model that do not belong together are named before anything is trained."""

from pathlib import Path

import pytest

from arclight.errors import UserError
from arclight.run.assembly import build_parts
from arclight.tasks.task import Task
from tests.conftest import Composed


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("model=cnn", "data=stdlib_packages"), "learns from labelled images, and the data are la"),
        (("model=cnn", "data=digits_captions"), "and the data are images with texts"),
        (("model=t5", "data=stdlib"), "learns from pairs of texts, and the data are running text"),
        (
            ("model=vit", "data=dates", "task=sequence_to_sequence"),
            "needs image_size and in_channels and num_classes, which these data do not tell",
        ),
    ],
)
def test_what_does_not_belong_together_is_a_sentence(
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
