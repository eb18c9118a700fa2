"""Faults of nodes: in their keys, the nodes within them, and Hydra's keys."""

from typing import Any

import pytest

from arclight.config.checks.check import check
from arclight.errors import UserError
from tests.conftest import Composed, Package


def faults(config: dict[str, Any]) -> str:
    """The error message of the check; empty if the config passes."""
    try:
        check(config)
    except UserError as error:
        return str(error)
    return ""


RMSPROP = {"_target_": "torch.optim.RMSprop", "lr": 0.1}


@pytest.mark.parametrize(
    ("group", "node"),
    [
        ("optimizer", RMSPROP),
        ("optimizer", {**RMSPROP, "layer_decay": 0.75, "no_decay": False}),
        ("optimizer", {"_target_": "timm.optim.Lion", "lr": 0.1, "betas": [0.9, 0.99]}),
        ("scheduler", {"_target_": "torch.optim.lr_scheduler.OneCycleLR", "max_lr": 0.1}),
        (
            "scheduler",
            {
                "_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau",
                "patience": 2,
                "interval": "epoch",
                "frequency": 1,
                "monitor": "val/loss",
            },
        ),
        (
            "callbacks",
            {"lr": {"_target_": "lightning.pytorch.callbacks.LearningRateMonitor"}, "none": None},
        ),
        ("logger", {"csv": {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": "x"}}),
        ("logger", {"tb": {"_target_": "lightning.pytorch.loggers.TensorBoardLogger"}}),
        ("trainer", {"_target_": "lightning.Trainer", "max_epochs": 3}),
        ("trainer", {"_target_": "lightning.pytorch.Trainer", "max_epochs": 3}),
        ("model", {"_target_": "timm.create_model", "model_name": "resnet18", "any": None}),
        ("model", {"_target_": "torchvision.models.resnet18", "num_classes": None}),
        (
            "model",
            {
                "_target_": "torch.nn.Sequential",
                "_args_": [
                    {"_target_": "torch.nn.Linear", "_args_": [3, 4]},
                    {"_target_": "torch.nn.ReLU", "inplace": True},
                ],
            },
        ),
    ],
)
def test_library_nodes_pass(config: dict[str, Any], group: str, node: Any) -> None:
    if group == "logger" and "tb" in node:
        node["tb"]["save_dir"] = "x"
    config[group] = node
    assert faults(config) == ""


@pytest.mark.parametrize(
    ("group", "node", "sentence"),
    [
        ("optimizer", {**RMSPROP, "lr": "fast"}, "optimizer.lr=fast should be a number."),
        ("optimizer", {**RMSPROP, "layer_decay": 0}, "optimizer.layer_decay=0 should be a number"),
        ("optimizer", {**RMSPROP, "no_decay": 3}, "no_decay=3 should be true or false."),
        ("optimizer", {**RMSPROP, "momentun": 1}, "did you mean optimizer.momentum?"),
        (
            "optimizer",
            {**RMSPROP, "betas": [0.9], "nesterov": True},
            "optimizer.betas, optimizer.nesterov are unknown to RMSprop: it accepts alpha, ",
        ),
        (
            "optimizer",
            {**RMSPROP, "betas": [0.9], "nesterov": True},
            "Type ~optimizer.betas ~optimizer.nesterov to leave them out.",
        ),
        (
            "optimizer",
            {"_target_": "torch.optim.AdamW", "betas": [0.9]},
            "optimizer.betas=[0.9] should be a list of two numbers.",
        ),
        ("optimizer", {**RMSPROP, "betas": 1}, "Type ~optimizer.betas to leave it out."),
        ("optimizer", {}, "A run needs an optimizer"),
        ("optimizer", {"lr": 3}, "optimizer.lr has no effect, since optimizer has no _target_"),
        ("optimizer", {"_target_": None, "lr": 3}, "optimizer._target_ is empty: type"),
        ("optimizer", [1], "optimizer=[1] is not one of its choices: type optimizer=NAME: the"),
        ("optimizer", None, "A run needs an optimizer: type optimizer=NAME: the choices are adamw"),
        (
            "scheduler",
            {"_target_": "torch.optim.lr_scheduler.OneCycleLR"},
            "scheduler.max_lr must be given: type +scheduler.max_lr=VALUE.",
        ),
        (
            "scheduler",
            {"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau", "interval": "day"},
            "scheduler.interval=day should be step or epoch.",
        ),
        ("finetune", {"rank": 4}, "finetune.rank has no effect, since finetune has no _target_"),
        ("finetune", {"rank": 4}, "finetune=full|head_only|layer_decay|lora"),
        ("callbacks", {"foo": {"x": 1}}, "callbacks.foo.x has no effect, since callbacks.foo has"),
        ("callbacks", {"foo": 3}, "callbacks.foo=3 should be a node with a _target_, or null."),
        ("callbacks", [1], "callbacks=[1] is not one of its choices"),
        ("model", "cnn2", "model=cnn2 is not one of its choices: type model=NAME: the choices are"),
        ("model", {"a": 1}, "model.a has no effect, since model has no _target_"),
        (
            "data",
            {"_target_": "arclight_zoo.pixels.image_data.ImageData"},
            "data.path must be given",
        ),
    ],
)
def test_fault_is_reported(config: dict[str, Any], group: str, node: Any, sentence: str) -> None:
    config[group] = node
    assert sentence in faults(config)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("_partial_", "yes", "should be true or false."),
        ("_args_", 3, "should be a list."),
        ("_args_", [1, 2, 3], "_args_ has 3 values, and ReLU takes 1 by position."),
        ("_recursive_", 1, "should be true or false."),
        ("_convert_", "some", "should be none or partial or all or object."),
        ("_target_", None, "_target_ is empty"),
        ("inplaced", True, "did you mean "),
    ],
)
def test_nodes_in_lists_are_checked(
    config: dict[str, Any], key: str, value: Any, sentence: str
) -> None:
    inner = {"_target_": "torch.nn.ReLU", key: value}
    config["model"] = {"_target_": "torch.nn.Sequential", "_args_": [{"a": [inner]}]}
    message = faults(config)
    assert message.startswith(f"model._args_[0].a[0].{key if key != '_args_' else ''}")
    assert sentence in message
    assert "~" not in message


MINE = {
    "net": """
        from dataclasses import dataclass
        from enum import Enum
        from collections.abc import Callable
        from torch import nn
        from torch.optim import Optimizer

        class Mode(str, Enum):
            A = "a"

        @dataclass
        class Size:
            width: int = 3

        class Net(nn.Module):
            def __init__(
                self,
                num_classes: int,
                kinds: int,
                widths: list[int] | None = None,
                size: Size | None = None,
                parts: list[Size] | None = None,
                mode: Mode = Mode.A,
                make: Callable[..., Optimizer] | None = None,
                options: dict[str, object] | None = None,
                anything=None,
            ) -> None: ...

        class Child(Net):
            def forward(self, x): return x
    """
}


@pytest.mark.parametrize("name", ["Net", "Child"])
@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({}, ""),
        ({"num_classes": None, "kinds": None}, ""),  # the data's facts, whatever they are called
        ({"size": {"_target_": "mylab.net.Size", "width": 2}}, ""),
        ({"size": {"_target_": "mylab.net.Size", "widht": 2}}, "did you mean model.size.width?"),
        ({"size": 3}, "model.size=3 should be Size or null."),
        ({"size": {"width": 3}}, "should be Size or null."),
        ({"parts": [{"_target_": "mylab.net.Size"}]}, ""),
        ({"parts": [3]}, "model.parts=[3] should be a list of Size each or null."),
        ({"mode": "a"}, ""),
        ({"options": {"a": {"b": [1, 2]}}, "anything": {"free": {"x": 1}}}, ""),
        ({"widths": ["a", "b"]}, "should be a list of whole numbers or null."),
        ({"make": {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.1}}, ""),
        ({"make": {"_target_": "torch.optim.Adam"}}, "model.make.params must be given"),
        (
            {"anything": {"_target_": "torch.optim.Adam", "_partial_": True, "a": 1, "b": 2}},
            "Type ~model.anything.a ~model.anything.b to leave them out.",
        ),
    ],
)
def test_a_users_class(
    package: Package, config: dict[str, Any], name: str, keys: dict[str, Any], sentence: str
) -> None:
    package(**MINE)
    config["model"] = {"_target_": f"mylab.net.{name}", **keys}
    assert sentence in faults(config) if sentence else faults(config) == ""


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ("+optimzer.lr=4", "optimzer is not a key of the config: did you mean optimizer?"),
        ("+loss=focal", "loss is not a key of the config"),
        ("+finetune.rank=4", "finetune.rank has no effect"),
        ("+callbacks.foo.x=1", "callbacks.foo.x has no effect"),
        ("model.widths=[a,b]", "model.widths=[a,b] should be a list of whole numbers of 1"),
        ("seed=-1", "seed=-1 should be a whole number from 0 to 4294967295."),
        ("name=''", "name= should be a name of at least one letter, not a path."),
        ("name=../x", "name=../x should be a name of at least one letter, not a path."),
        ("~model._target_", "since model has no _target_"),
        ("model._target_=null", "model._target_ is empty"),
        ("~model", "A run needs a model: type model=NAME"),
        (
            "optimizer._target_=torch.optim.RMSprop",
            "Type ~optimizer.betas to leave it out.",
        ),
        ("+trainer.callbacks=[]", "trainer.callbacks is set by the run: put them in configs/"),
        ("+trainer.logger=false", "trainer.logger is set by the run: type logger=NAME"),
        (
            "+trainer.enable_checkpointing=false",
            "callbacks.checkpoints sets which checkpoints are kept.",
        ),
        (
            "+task.metrics.x._target_=torch.nn.Identity",
            "task.metrics.x._target_=torch.nn.Identity is an nn.Module, not a Metric",
        ),
        ("+model._partial_=true", "model._partial_=true builds no object, but a run needs one"),
        ("+callbacks.ema._partial_=true", "callbacks.ema._partial_=true builds no object"),
    ],
)
def test_overrides_that_would_be_ignored_or_raise_later(
    composed: Composed, overrides: str, sentence: str
) -> None:
    assert sentence in faults(composed(overrides))


def test_suggested_overrides_fix_the_config(composed: Composed) -> None:
    overrides = ["optimizer=muon", "optimizer._target_=torch.optim.RMSprop"]
    message = faults(composed(*overrides))
    fix = [
        override
        for override in message.replace(" to leave", "\n").split()
        if override.startswith("~")
    ]
    assert fix == ["~optimizer.nesterov", "~optimizer.ns_steps", "~optimizer.betas"]
    assert faults(composed(*overrides, *fix)) == ""


def test_partial_optimizer_and_scheduler_pass(composed: Composed) -> None:
    assert faults(composed("+optimizer._partial_=true", "+scheduler._partial_=true")) == ""
