"""Objects built from a config that was found on disk may only read."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from arclight.config.build import build
from arclight.config.only_reading import OnlyReadingError, guarded, only_reading
from arclight.errors import UserError


class Payload:
    """Creates a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def test_library_constructors_may_not_write_or_unpickle(tmp_path: Path) -> None:
    mark, weights = tmp_path / "mark", tmp_path / "weights.pth"
    torch.save({"state_dict": Payload(mark)}, weights)
    nodes: dict[str, dict[str, Any]] = {
        "tries to change": {
            "_target_": "torchvision.datasets.MNIST",
            "root": str(tmp_path / "data"),
            "download": True,
        },
        "weights_only": {
            "_target_": "timm.create_model",
            "model_name": "resnet18",
            "checkpoint_path": str(weights),
        },
    }
    for what, node in nodes.items():
        with only_reading(), pytest.raises(UserError, match=what):
            build({"_target_": "torch.nn.Sequential", "_args_": [node]})
    assert not mark.exists()
    assert not (tmp_path / "data").exists()
    assert (
        build({"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 3}).bias is not None
    )


ACTIONS: dict[str, Callable[[Path], object]] = {
    "write": lambda p: p.write_text("x"),
    "append": lambda p: p.open("a"),
    "update": lambda p: p.open("r+"),
    "create": lambda p: os.open(p, os.O_CREAT),
    "mkdir": lambda p: p.mkdir(),
    "link": lambda p: p.symlink_to("x"),
    "remove": lambda p: p.unlink(),
    "rename": lambda p: p.rename(p.with_name("y")),
    "connect": lambda _: __import__("socket").create_connection(("127.0.0.1", 9), timeout=0.1),
    "run": lambda _: os.system("true"),
    "start": lambda _: __import__("subprocess").run(["true"], check=True),
    "unpickle": lambda _: pickle.loads(b"cos\nsystem\n(S'true'\ntR."),
}


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_guarded_raises_before_the_action(action: Callable[[Path], object], tmp_path: Path) -> None:
    with guarded(), pytest.raises(OnlyReadingError):
        action(tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_guarded_allows_reading(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    with guarded():
        assert (tmp_path / "x").read_text() == "x"
        assert torch.equal(pickle.loads(pickle.dumps(torch.ones(2))), torch.ones(2))
    (tmp_path / "x").write_text("y")
