"""A frozen config is plain, resolved, and without secrets."""

import pytest
from omegaconf import DictConfig, OmegaConf

from arclight.config.freeze import differences, freeze
from arclight.errors import UserError
from tests.conftest import Composed, Package


def test_interpolations_are_resolved_and_command_keys_are_left_out() -> None:
    cfg = OmegaConf.create({"seed": 3, "data": {"seed": "${seed}"}, "run_dir": "x", "resume": None})
    assert freeze(cfg) == {"seed": 3, "data": {"seed": 3}}


def test_secrets_are_not_frozen() -> None:
    cfg = OmegaConf.create({"logger": {"api_key": "s3cret", "token": "t", "tokens": 5, "key": "k"}})
    secrets = {k: f"${{oc.env:ARCLIGHT_SECRET_LOGGER_{k.upper()}}}" for k in ("api_key", "token")}
    assert freeze(cfg)["logger"] == {**secrets, "tokens": 5, "key": "k"}


def test_failing_interpolation_is_a_user_error() -> None:
    with pytest.raises(UserError, match="cannot be resolved"):
        freeze(OmegaConf.create({"a": "${nowhere}"}))


def test_node_used_by_interpolations_cannot_be_left_out(composed: Composed) -> None:
    with pytest.raises(UserError, match=r"^callbacks\.checkpoints cannot be left out: other keys"):
        composed("callbacks.checkpoints=null")


def test_differences_list_each_key_once() -> None:
    old, new = {"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": 4}
    assert differences(old, new) == ["a.c: 2 -> 3", "d: (absent) -> 4"]


CHOICES = {"model": "cnn", "data": "digits", "task": "lit"}

LIT = {
    "lit": """
        import lightning as L

        class Lit(L.LightningModule):
            def __init__(self, net=None, optimizer=None, scheduler=None, compile=False): ...

        class Bare(L.LightningModule):
            def training_step(self, batch): ...

        class Takes(Bare):
            def __init__(self, model, schedule=None, **kwargs):
                super().__init__()
                self.rest = kwargs
    """
}

NODE = {"_target_": "torch.optim.Adam", "_partial_": True}


def configured(task: dict[str, object]) -> DictConfig:
    groups = {group: {"lr": 1} for group in ("model", "optimizer", "scheduler", "finetune", "data")}
    return OmegaConf.create({"name": None, **groups, "task": task})


@pytest.mark.parametrize(
    ("task", "left", "name"),
    [
        ({"_target_": "mylab.lit.Bare"}, "", "lit-digits"),
        ({"_target_": "mylab.lit.Takes"}, "model finetune scheduler", "cnn-digits"),
        ({"_target_": "mylab.lit.Lit"}, "optimizer scheduler", "lit-digits"),
        ({"_target_": "mylab.lit.Lit", "optimizer": NODE}, "scheduler", "lit-digits"),
        ({"_target_": "mylab.lit.Lit", "optimizer": NODE, "scheduler": NODE}, "", "lit-digits"),
        ({"_target_": "mylab.lit.Lit", "optimizer": NODE, "scheduler": None}, "", "lit-digits"),
        ({"_target_": "mylab.nowhere.Lit"}, "model finetune optimizer scheduler", "cnn-digits"),
        ({}, "model finetune optimizer scheduler", "cnn-digits"),
    ],
)
def test_groups_that_the_task_does_not_take_are_left_out(
    package: Package, task: dict[str, object], left: str, name: str
) -> None:
    package(**LIT)
    config = freeze(configured(task), CHOICES)
    assert set(config) == {*left.split(), "name", "data", "task", "callbacks"}
    assert config["name"] == name


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("model=vit", "The task Bare takes no model: leave out model=vit."),
        ("+optimizer.lr=1", r"takes no optimizer: leave out \+optimizer.lr=1."),
        ("finetune=lora", "takes no finetune"),
    ],
)
def test_override_of_such_a_group_is_an_error(
    package: Package, override: str, sentence: str
) -> None:
    package(**LIT)
    cfg = configured({"_target_": "mylab.lit.Bare"})
    with pytest.raises(UserError, match=sentence):
        freeze(cfg, CHOICES, [override])
    assert freeze(cfg, CHOICES, ["data=digits", "~model", "seed=1"])


def test_keys_only_used_by_interpolations_are_left_out() -> None:
    cfg = OmegaConf.create(
        {
            "paths": {"root": "/data", "sets": "${paths.root}/sets"},
            "tags": ["a"],
            "odd": 3,
            "seed": 1,
            "logger": {"own": {"save_dir": "${paths.sets}", "tags": "${tags}", "seed": "${seed}"}},
        }
    )
    assert freeze(cfg) == {
        "odd": 3,
        "seed": 1,
        "logger": {"own": {"save_dir": "/data/sets", "tags": ["a"], "seed": 1}},
    }


def test_given_name_is_kept(composed: Composed) -> None:
    assert composed("model=vit")["name"] == "vit-digits"
    assert composed("name=mine")["name"] == "mine"
