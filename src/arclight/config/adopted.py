"""Translate Lightning's nodes into the engine's own, so that configs of other templates still work.

It translates a `Trainer` and a `ModelCheckpoint`, and drops the settings of loggers that are not
chosen.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import OmegaConf

from arclight.config.options import options
from arclight.config.project import PROJECT
from arclight.config.signatures.kinds import KINDS

Node = dict[str, Any]

TRAINER = "arclight.training.trainer.make_trainer"
CHECKPOINTS = "arclight.training.checkpoints.Checkpoints"

# Defaults of Lightning's Trainer that differ from configs/trainer/cpu.yaml.
LIGHTNING_DEFAULTS = {
    "accelerator": "auto",
    "devices": "auto",
    "max_epochs": None,
    "gradient_clip_val": None,
    "num_sanity_val_steps": 2,
}
PRECISIONS = {16: "16-mixed", 32: "32-true", 64: "64-true", "16": "16-mixed", "bf16": "bf16-mixed"}


def adopt(config: Mapping[str, Any], typed: Sequence[str] = ()) -> Node:
    """Returns the config with Lightning's nodes replaced by the engine's own.

    Args:
        typed: the overrides of the command line; logger settings among them are kept.
    """
    adopted = dict(config)
    trainer = adopted.get("trainer")
    if isinstance(trainer, dict) and "deterministic" in trainer:
        adopted["deterministic"] = trainer["deterministic"] or adopted.get("deterministic", False)
        adopted["trainer"] = trainer = {k: v for k, v in trainer.items() if k != "deterministic"}
    if isinstance(trainer, dict) and KINDS.get(str(trainer.get("_target_"))) == "Trainer":
        adopted["trainer"] = _trainer(trainer)
    if isinstance(adopted.get("callbacks"), dict):
        adopted["callbacks"] = _callbacks(adopted["callbacks"])
    if isinstance(adopted.get("logger"), dict):
        adopted["logger"] = _chosen(adopted["logger"], typed)
    return adopted


def _trainer(node: Node) -> Node:
    """Keeps Lightning's defaults; the run sets the folder and the determinism."""
    ours = OmegaConf.to_container(OmegaConf.load(PROJECT / "configs" / "trainer" / "cpu.yaml"))
    assert isinstance(ours, dict)
    own = {k: v for k, v in node.items() if k != "default_root_dir"}
    whole = {**ours, **LIGHTNING_DEFAULTS, **own, "_target_": TRAINER}
    if whole["max_epochs"] is None and whole["max_steps"] == -1:
        whole["max_epochs"] = 1000
    if isinstance(whole["precision"], int | str):
        whole["precision"] = PRECISIONS.get(whole["precision"], whole["precision"])
    if whole["val_check_interval"] is None:
        whole["val_check_interval"] = 1.0
    return {str(k): v for k, v in whole.items()}


def _callbacks(nodes: Node) -> Node:
    """The first ModelCheckpoint sets monitor and mode; the run directory sets the files' place."""
    found = [n for n, node in nodes.items() if _is_checkpoint(node)]
    typed = nodes.get("checkpoints") or {}  # single keys, such as every_n_steps
    if not found or not isinstance(typed, dict) or "_target_" in typed:
        return nodes
    node = nodes[found[0]]
    ours = {
        "_target_": CHECKPOINTS,
        "monitor": node.get("monitor"),
        "mode": node.get("mode", "min"),
        "keep_best": max(1, node.get("save_top_k", 1)),
        "every_n_steps": node.get("every_n_train_steps"),
        **typed,
    }
    rest = {n: one for n, one in nodes.items() if n not in (found[0], "checkpoints")}
    return {"checkpoints": ours, **rest}


def _is_checkpoint(node: Any) -> bool:
    target = str(node.get("_target_")) if isinstance(node, dict) else ""
    return target.startswith("lightning.pytorch.") and target.endswith(".ModelCheckpoint")


def _chosen(nodes: Node, typed: Sequence[str]) -> Node:
    """Drops the settings of loggers that are options of the group but were not chosen."""
    return {
        name: node
        for name, node in nodes.items()
        if not isinstance(node, dict)
        or "_target_" in node
        or name not in options("logger")
        or any(re.match(rf"\+*logger\.{re.escape(name)}\b", override) for override in typed)
    }
