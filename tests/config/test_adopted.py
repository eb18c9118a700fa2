"""Lightning's nodes for the trainer and checkpoints are translated into the engine's own."""

from typing import Any

import pytest

from arclight.config.adopted import adopt
from arclight.config.checks.check import check
from tests.conftest import Composed

LIGHTNING = {"_target_": "lightning.pytorch.trainer.Trainer", "default_root_dir": "/tmp"}
CHECKPOINT = {
    "_target_": "lightning.pytorch.callbacks.ModelCheckpoint",
    "dirpath": "somewhere/checkpoints",
    "filename": "epoch_{epoch:03d}",
    "monitor": "val/accuracy",
    "mode": "max",
    "save_last": True,
    "save_top_k": 3,
    "every_n_train_steps": None,
}


def test_lightnings_trainer_keeps_its_defaults(composed: Composed) -> None:
    config = composed()
    config["trainer"] = {**LIGHTNING, "max_steps": 7, "precision": 16}
    adopted = adopt(config)
    assert adopted["trainer"]["_target_"] == "arclight.training.trainer.make_trainer"
    assert adopted["trainer"]["max_steps"] == 7
    assert adopted["trainer"]["max_epochs"] is None
    assert adopted["trainer"]["gradient_clip_val"] is None
    assert adopted["trainer"]["precision"] == "16-mixed"
    assert set(adopted["trainer"]) == set(composed()["trainer"])
    check(adopted)


def test_deterministic_trainer_makes_the_whole_run_deterministic(composed: Composed) -> None:
    config = composed()
    for trainer in (LIGHTNING, config["trainer"]):
        adopted = adopt({**config, "trainer": {**trainer, "deterministic": True}})
        assert adopted["deterministic"] is True
        assert "deterministic" not in adopted["trainer"]


def test_keys_that_the_run_sets_are_rejected(composed: Composed) -> None:
    config = {**composed(), "trainer": {**LIGHTNING, "enable_progress_bar": False}}
    with pytest.raises(Exception, match=r"trainer\.enable_progress_bar is set by the run"):
        check(adopt(config))


def test_model_checkpoint_sets_monitor_and_mode(composed: Composed) -> None:
    config = composed()
    config["callbacks"] = {"model_checkpoint": CHECKPOINT}
    adopted = adopt(config)
    (node,) = adopted["callbacks"].values()
    wanted = {"monitor": "val/accuracy", "mode": "max", "keep_best": 3, "every_n_steps": None}
    assert {key: node[key] for key in wanted} == wanted
    check(adopted)


def test_single_keys_of_checkpoints_override_model_checkpoint(composed: Composed) -> None:
    config = composed()
    config["callbacks"] = {"model_checkpoint": CHECKPOINT, "checkpoints": {"every_n_steps": 7}}
    (node,) = adopt(config)["callbacks"].values()
    assert (node["monitor"], node["every_n_steps"]) == ("val/accuracy", 7)


def test_model_checkpoint_beside_our_checkpoints_is_kept(composed: Composed) -> None:
    config = composed()
    config["callbacks"] = {**config["callbacks"], "second": CHECKPOINT}
    assert adopt(config)["callbacks"] == config["callbacks"]


@pytest.mark.parametrize(
    ("name", "typed", "stays"),
    [("wandb", [], False), ("wandb", ["+logger.wandb.tags=[a]"], True), ("wandbb", [], True)],
)
def test_settings_of_unchosen_loggers_are_dropped(name: str, typed: list[str], stays: bool) -> None:
    config: dict[str, Any] = {"logger": {name: {"tags": ["a"]}}}
    assert (name in adopt(config, typed)["logger"]) is stays


def test_other_configs_are_unchanged(composed: Composed) -> None:
    config = composed()
    assert adopt(config) == config
