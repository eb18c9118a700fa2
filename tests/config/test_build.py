"""Building nodes: Hydra's keys, the run's arguments, and errors of libraries."""

import functools
from typing import Any

import pytest

from arclight.config.build import build, find
from arclight.config.checks.allowed import TargetError
from arclight.errors import UserError
from tests.conftest import Package

MODULES = {
    "parts": """
        class Box:
            def __init__(self, *args, name="box", inner=None, items=(), **kwargs):
                self.args, self.name, self.inner, self.items = args, name, inner, items
                self.kwargs = kwargs

        class Strict:
            def __init__(self, width, name=None):
                if width == 0:
                    raise ValueError("own error")
                self.width, self.name = width, name

        class Child(Strict):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)

        def base():
            return Strict

        class Made(base()):
            pass
    """,
    "again": "from mylab.parts import Strict as Renamed\n",
}


@pytest.fixture
def parts(package: Package) -> None:
    package(**MODULES)


BOX, STRICT = "mylab.parts.Box", "mylab.parts.Strict"
NODE = {"_target_": STRICT, "width": 3}

pytestmark = pytest.mark.usefixtures("parts")


def test_nested_nodes_are_built_in_mappings_and_lists() -> None:
    box = build(
        {
            "_target_": BOX,
            "inner": {"a": NODE, "b": 1},
            "items": [NODE, [NODE], {"c": NODE}, 5],
        }
    )
    assert box.inner["a"].width == 3
    assert box.inner["b"] == 1
    assert [box.items[0].width, box.items[1][0].width, box.items[2]["c"].width] == [3, 3, 3]
    assert box.items[3] == 5


def test_hydra_keys() -> None:
    partial = build({**NODE, "_partial_": True})
    assert isinstance(partial, functools.partial)
    assert partial(name="x").name == "x"
    box = build({"_target_": BOX, "_args_": [1, NODE], "_convert_": "all"})
    assert box.args[0] == 1
    assert box.args[1].width == 3
    plain = build({"_target_": BOX, "_recursive_": False, "inner": NODE, "_args_": [NODE]})
    assert plain.inner == NODE
    assert plain.args == (NODE,)


@pytest.mark.parametrize("target", [STRICT, "mylab.parts.Child", "mylab.again.Renamed"])
def test_given_arguments_win_and_unknown_ones_are_left_out(target: str) -> None:
    made = build({"_target_": target, "width": 3, "name": "old"}, name="new", folder="x")
    assert (made.width, made.name) == (3, "new")


def test_given_arguments_do_not_go_into_kwargs() -> None:
    box = build({"_target_": BOX}, name="given", folder="x")
    assert box.name == "given"
    assert box.kwargs == {}


def test_find() -> None:
    assert find("mylab.again.Renamed") is find(STRICT)
    assert find("torch.optim.RMSprop", "optimizer").__name__ == "RMSprop"
    with pytest.raises(TargetError, match="put it in configs/optimizer/"):
        find("torch.optim.RMSprop", "scheduler")


def test_group_sets_the_expected_type() -> None:
    with pytest.raises(TargetError, match="is an Optimizer, not a Callback"):
        build({"_target_": "torch.optim.RMSprop"}, group="callbacks")


def test_engine_keys_are_not_passed_to_the_target() -> None:
    import torch

    weights = [torch.nn.Parameter(torch.zeros(2))]
    node = {"_target_": "torch.optim.RMSprop", "lr": 0.5, "layer_decay": 0.7, "no_decay": True}
    optimizer = build(node, group="optimizer", params=weights, model=None, fused=False)
    assert optimizer.defaults["lr"] == 0.5


def test_unknown_key_is_reported() -> None:
    with pytest.raises(UserError, match=r"^widht is unknown to mylab\.parts\.Strict: did you mean"):
        build({"_target_": STRICT, "widht": 3})


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        (
            {"_target_": "torch.nn.Sequential", "_args_": [{"_target_": "torch.nn.Linear"}]},
            r"^model\._args_\[0\]: torch\.nn\.Linear does not accept this: .* missing 2 required",
        ),
        ({"_target_": "torch.nn.Softmax", "dim": 1, "_args_": [2]}, "got multiple values for"),
        (
            {"_target_": "torch.nn.Bilinear", "_args_": [0, 1, 1]},
            "does not accept this: in1_features must be",
        ),
    ],
)
def test_library_errors_become_user_errors(node: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        build(node, group="model")


def test_unknown_keys_of_an_open_signature_are_reported() -> None:
    with pytest.raises(UserError, match="does not accept this: Unexpected keyword arguments: `x`"):
        build({"_target_": "torchmetrics.MeanMetric", "x": 3})
    with pytest.raises(UserError, match=r"widht is unknown to mylab\.parts\.Made: did you mean"):
        build({"_target_": "mylab.parts.Made", "widht": 3})
    assert build({"_target_": "mylab.parts.Made"}, width=3, folder="x").width == 3


def test_errors_of_own_code_are_unchanged() -> None:
    with pytest.raises(ValueError, match="own error"):
        build({**NODE, "width": 0})
    with pytest.raises(TypeError):
        build({"_target_": STRICT})


def test_missing_target() -> None:
    with pytest.raises(TargetError, match="is not the dotted name"):
        build({"width": 3})
