"""Reading weights from files in many formats, and matching them with a model."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from arclight.errors import UserError
from arclight.models.weight_files import matched, read_weights
from arclight.use.evaluate import evaluate_weights
from arclight_zoo.image.cnn import CNN
from tests.conftest import Composed


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10))


def prefixed(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in weights.items()}


WAYS = {
    "plain": lambda w: w,
    "state_dict": lambda w: {"state_dict": w, "epoch": 3},
    "model": lambda w: {"model": w, "optimizer": {"state": {}}, "args": Namespace(lr=0.1)},
    "nested": lambda w: {"checkpoint": 1, "state_dict": {"model": w}},
    "DataParallel": lambda w: {"state_dict": prefixed(w, "module."), "best": np.float64(0.9)},
    "compiled": lambda w: prefixed(w, "_orig_mod."),
    "both": lambda w: {"model": prefixed(w, "module._orig_mod.")},
    "Lightning": lambda w: {"state_dict": prefixed(w, "net."), "pytorch-lightning_version": "2.6"},
    "with a loss": lambda w: {
        "state_dict": {**prefixed(w, "model."), "criterion.weight": torch.ones(10)}
    },
    "other names": lambda w: {f"layer{i}.w": t for i, t in enumerate(w.values())},
}


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".th", ".bin", ".ckpt"])
@pytest.mark.parametrize("way", WAYS)
def test_weights_in_many_formats(tmp_path: Path, way: str, suffix: str) -> None:
    own = net().state_dict()
    saved: Any = WAYS[way]({name: tensor + 1 for name, tensor in own.items()})
    torch.save(saved, tmp_path / f"a{suffix}")
    found = matched(read_weights(tmp_path / f"a{suffix}", "it"), own)
    assert found.taken.keys() == own.keys()
    assert all(torch.equal(found.taken[name], own[name] + 1) for name in own)
    assert found.left_out == (["criterion.weight"] if way == "with a loss" else [])
    assert bool(found.renamed) == (way == "other names")


def test_safetensors_with_any_suffix(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "weights.bin")
    assert read_weights(tmp_path / "weights.bin", "it").keys() == {"a"}


def test_wrapped_model_accepts_weights_without_prefix() -> None:
    own = prefixed(net().state_dict(), "net.")
    assert matched(net().state_dict(), own).taken.keys() == own.keys()


def test_weights_that_do_not_fit_are_listed() -> None:
    own = net().state_dict()
    theirs = {**own, "3.weight": torch.ones(5, 144), "3.bias": torch.ones(5), "more": torch.ones(3)}
    found = matched(theirs, own)
    assert found.other_shape == {"3.weight": ((5, 144), (10, 144)), "3.bias": ((5,), (10,))}
    assert found.left_out == ["more"]


def test_only_unique_shapes_are_matched() -> None:
    own = {"a": torch.ones(2, 2), "b": torch.ones(2, 2), "c": torch.ones(3)}
    theirs = {"x": torch.ones(3), "y": torch.ones(2, 2), "z": torch.ones(2, 2)}
    assert matched(theirs, own).renamed == {"c": "x"}


class Code:
    pass


@pytest.mark.parametrize(
    ("kept", "sentence"),
    [
        ({"model": Code()}, "code in a file is not run"),
        ({"a": 1}, "holds no tensors by name"),
        ([torch.ones(1)], "holds no tensors by name"),
        (None, "cannot be read as weights"),
    ],
)
def test_other_files_are_user_errors(tmp_path: Path, kept: Any, sentence: str) -> None:
    if kept is None:
        (tmp_path / "a.pt").write_bytes(b"no zip and no pickle")
    else:
        torch.save(kept, tmp_path / "a.pt")
    with pytest.raises(UserError, match=f"^it .*{sentence}"):
        read_weights(tmp_path / "a.pt", "it")


def test_weights_are_evaluated_without_a_run(composed: Composed, tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = CNN(10, in_channels=1, widths=[8, 8, 8])
    file = tmp_path / "cnn.pth"
    torch.save({"state_dict": prefixed(model.state_dict(), "module.")}, file)
    overrides = ["model.widths=[8,8,8]", f"model.pretrained={file}", "data.batch_size=64"]
    metrics = evaluate_weights(composed("model=cnn", *overrides))
    from arclight.run.assembly import build_data

    data = build_data(composed("model=cnn", *overrides), tmp_path)
    model.eval()
    with torch.no_grad():
        right = [(model(x).argmax(1) == y).float() for x, y in data.test_dataloader()]
    assert metrics["test/accuracy"] == pytest.approx(torch.cat(right).mean().item(), rel=1e-6)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ([], "Type run=DIR, or model=NAME model.pretrained=FILE"),
        (["model.pretrained={file}", "model.widths=[8,8,8]"], "lacks 2 of the model's"),
    ],
)
def test_incomplete_weights_are_not_evaluated(
    composed: Composed, tmp_path: Path, overrides: list[str], sentence: str
) -> None:
    file = tmp_path / "cnn.pth"
    torch.save(CNN(7, in_channels=1, widths=[8, 8, 8]).state_dict(), file)
    with pytest.raises(UserError, match=sentence):
        evaluate_weights(
            composed("model=cnn", *(override.format(file=file) for override in overrides))
        )
