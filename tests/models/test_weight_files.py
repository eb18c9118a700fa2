"""Reading weights from files in many formats, and matching them with a model."""

import importlib
from argparse import Namespace
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import transforms

from arclight.errors import UserError
from arclight.models.weight_files import read_weights
from arclight.models.weight_matching import lacking, matched
from arclight.use.evaluate import evaluate_weights
from arclight_zoo.image.cnn import CNN
from tests.conftest import Composed, Package
from tests.pictures import image_folder


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10))


def prefixed(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in weights.items()}


def halved(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor / 2 for name, tensor in weights.items()}


WAYS: dict[str, Any] = {
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
    "averaged": lambda w: {"state_dict": halved(w), "state_dict_ema": w, "arch": "net"},
    "an average without buffers": lambda w: {
        "ema": {"0.weight": torch.zeros_like(w["0.weight"])},
        "net": w,
    },
    "a teacher": lambda w: {
        "student": prefixed(halved(w), "module."),
        "teacher": {**prefixed(w, "backbone."), "head.weight": torch.ones(2)},
    },
    "one of two networks": lambda w: {
        "discriminator": {f"a{i}": torch.ones(2) for i in range(40)},
        "generator": w,
    },
    "Lightning with an average": lambda w: {
        "state_dict": {
            **prefixed(halved(w), "model."),
            **prefixed(w, "ema_model.module."),
            "ema_model.n_averaged": torch.tensor(3),
        }
    },
    "numpy's arrays": lambda w: {"params": {name: t.numpy() for name, t in w.items()}},
    "with times and paths": lambda w: {
        "model": w,
        "when": datetime.now(),
        "args": Namespace(out=Path("x")),
    },
    "parts of it wrapped": lambda w: {
        "model": {f"_fsdp_wrapped_module.{n.replace('.', '._orig_mod.')}": t for n, t in w.items()}
    },
    "a tuple": lambda w: (prefixed(w, "module."), {"epoch": 3}),
    "an average by torch-ema": lambda w: {
        "ema": {"decay": 0.9, "shadow_params": [t / 2 for t in w.values()]},
        "model": w,
    },
    "more of numpy": lambda w: {
        "net": w,
        "best": [np.int16(1), np.bool_(True), np.float16(1), np.str_("a"), np.arange(3)],
        "counts": Counter("ab"),
        "seen": {1, 2},
    },
    "DINO": lambda w: {
        "student": prefixed(halved(w), "module.backbone."),
        "teacher": {**prefixed(w, "backbone."), "head.mlp.0.weight": torch.ones(2)},
    },
    "MoCo": lambda w: {
        "state_dict": {
            **prefixed(w, "module.encoder_q."),
            **prefixed(halved(w), "module.encoder_k."),
            "module.queue": torch.ones(3, 5),
        }
    },
    "other names": lambda w: {f"layer{i}.w": t for i, t in enumerate(w.values())},
}


@pytest.mark.parametrize(
    ("way", "suffix"),
    [*((way, ".pth") for way in WAYS), *(("plain", s) for s in (".pt", ".th", ".bin", ".ckpt"))],
)
def test_weights_in_many_formats(tmp_path: Path, way: str, suffix: str) -> None:
    own = net().state_dict()
    saved: Any = WAYS[way]({name: tensor + 1 for name, tensor in own.items()})
    torch.save(saved, tmp_path / f"a{suffix}")
    found = matched(read_weights(tmp_path / f"a{suffix}", "it", own), own)
    assert found.taken.keys() == own.keys()
    assert all(torch.equal(found.taken[name], own[name] + 1) for name in own)
    left = {"with a loss": ["criterion.weight"], "a teacher": ["head.weight"]}
    left["DINO"] = ["head.mlp.0.weight"]
    if way not in ("Lightning with an average", "MoCo"):
        assert found.left_out == left.get(way, [])
    assert bool(found.renamed) == (way == "other names")


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["3.weight_g", "3.weight_v"], "factors of a weight"),
        (["3.parametrizations.weight.original0", "3.parametrizations.weight.original1"], "factors"),
        (["3.weight_orig", "3.weight_mask"], "pruned"),
        (["3.weight", "3.lora_A.weight"], "holds adapters"),
        (["3.weight", "3.zero_point"], "holds quantised"),
        (["3.qweight"], "holds quantised"),
    ],
)
def test_weights_that_need_a_computation_are_rejected(
    tmp_path: Path, names: list[str], sentence: str
) -> None:
    own = net().state_dict()
    kept = {name: tensor for name, tensor in own.items() if name != "3.weight"}
    torch.save(kept | dict.fromkeys(names, own["3.weight"]), tmp_path / "a.pt")
    with pytest.raises(UserError, match=sentence):
        read_weights(tmp_path / "a.pt", "it", own)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8])
def test_integers_are_not_weights(tmp_path: Path, dtype: torch.dtype) -> None:
    own = net().state_dict()
    torch.save(own | {"3.weight": own["3.weight"].to(dtype)}, tmp_path / "a.pt")
    with pytest.raises(UserError, match=r"quantised weights \(3\.weight\)"):
        read_weights(tmp_path / "a.pt", "it", own)


def test_names_of_another_kind_are_not_matched_by_shape() -> None:
    own = net().state_dict()
    other = {n.replace("1.weight", "x.bias"): t for n, t in own.items() if n != "1.bias"}
    other["x.weight"] = own["1.bias"]
    assert "1.bias" in lacking(matched(other, own), own)


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


def test_published_networks_fit_by_their_names() -> None:
    theirs = torchvision.models.resnet18(num_classes=20).half().state_dict()
    own = timm.create_model("resnet18", num_classes=10, in_chans=1).state_dict()
    found = matched(theirs, own)
    assert set(own) - set(found.taken) == {"conv1.weight", "fc.weight", "fc.bias"}
    assert set(found.other_shape) == {"conv1.weight", "fc.weight", "fc.bias"}
    assert not found.left_out


def test_old_names_of_layer_norms_fit() -> None:
    own = nn.ModuleDict({"norm": nn.LayerNorm(4), "out": nn.Linear(4, 4)}).state_dict()
    old = {"norm.gamma": own["norm.weight"], "norm.beta": own["norm.bias"]}
    theirs = prefixed(
        {**old, "out.weight": own["out.weight"], "out.bias": own["out.bias"]}, "bert."
    )
    assert matched({**theirs, "cls.bias": torch.ones(61)}, own).taken.keys() == own.keys()


def test_counters_and_other_names_of_tied_weights_are_not_lacking() -> None:
    tied = nn.ModuleDict({"a": nn.Linear(2, 2), "norm": nn.BatchNorm1d(2)})
    tied["b"] = tied["a"]
    own = tied.state_dict()
    theirs = {name: own[name] for name in own if name[0] != "b" and "batches" not in name}
    assert lacking(matched(theirs, own), own) == []
    del theirs["norm.bias"], theirs["norm.running_mean"]
    assert lacking(matched(theirs, own), own) == ["norm.bias", "norm.running_mean"]


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
        (b"\x89HDF\r\n\x1a\n" + b"0" * 50, "torch.save did not write it"),
        (b"GGUF" + b"\3\0\0\0" * 5, "torch.save did not write it"),
        (b'{"a": 1}', "torch.save did not write it"),
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:a", "is a Git LFS pointer"),
        (b"\n<!DOCTYPE html><html></html>", "is a web page"),
        (torch.jit.ScriptModule(), "is a TorchScript archive"),
    ],
)
def test_other_files_are_user_errors(tmp_path: Path, kept: Any, sentence: str) -> None:
    if kept is None:
        (tmp_path / "a.pt").write_bytes(b"no zip and no pickle")
    elif isinstance(kept, bytes):
        (tmp_path / "a.pt").write_bytes(kept)
    elif isinstance(kept, torch.jit.ScriptModule):
        kept.save(tmp_path / "a.pt")
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
        ([], "type run=DIR, or model=NAME model.pretrained=FILE"),
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


PLAIN_NET = """
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.out = nn.Linear(16 * 64, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 4)
        return self.out(x.flatten(1))
"""
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)  # as CIFAR-10 scripts have them


def test_plain_code_and_evaluate_agree_to_the_last_digit(
    composed: Composed, package: Package, tmp_path: Path
) -> None:
    package(net=PLAIN_NET)
    net = importlib.import_module("mylab.net").Net()
    classes = {f"class{i}": 24 for i in range(10)}
    for split in ("train", "test"):
        image_folder(tmp_path / "data" / split, classes, size=(32, 32))
    data = torchvision.datasets.ImageFolder(
        str(tmp_path / "data" / "test"),
        transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)]),
    )
    loader = torch.utils.data.DataLoader(data, batch_size=50)
    for images, _ in loader:  # statistics of the batch norm, and answers that differ
        net(images)
    net.eval()
    with torch.no_grad():
        right = sum(int((net(x).argmax(1) == y).sum()) for x, y in loader)
    file = tmp_path / "model.pth"
    torch.save({"epoch": 3, "state_dict": nn.DataParallel(net).state_dict()}, file)
    given = ["data=image_folder", f"data.path={tmp_path / 'data'}", "data.image_size=32"]
    given += [f"data.mean={list(MEAN)}", f"data.std={list(STD)}"]
    config = composed(*given)
    config["model"] = {"_target_": "mylab.net.Net", "pretrained": str(file)}
    assert evaluate_weights(config)["test/accuracy"] == round(right / len(data), 7)
