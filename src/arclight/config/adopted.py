"""Lightning's nodes for what the run directory does itself, read as the engine's own.

So the YAML of other templates can stay as it is: a `Trainer`, a `ModelCheckpoint`, and settings of
loggers that are not chosen.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import OmegaConf

from arclight.config.kinds import KINDS
from arclight.config.options import options
from arclight.config.project import PROJECT

Node = dict[str, Any]

TRAINER = "arclight.training.trainer.make_trainer"
CHECKPOINTS = "arclight.training.checkpoints.Checkpoints"

# What Lightning's Trainer does by default where configs/trainer/cpu.yaml says something else.
LIGHTNINGS = {
    "accelerator": "auto",
    "devices": "auto",
    "max_epochs": None,
    "gradient_clip_val": None,
    "num_sanity_val_steps": 2,
}
PRECISIONS = {16: "16-mixed", 32: "32-true", 64: "64-true", "16": "16-mixed", "bf16": "bf16-mixed"}


def adopt(config: Mapping[str, Any], typed: Sequence[str] = ()) -> Node:
    """The config with these nodes as the engine's own.

    Args:
        typed: the words of the command line; the logger settings among them stay as they are.
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
    """Lightning's defaults are kept; where files lie, and how exactly it computes, the run says."""
    ours = OmegaConf.to_container(OmegaConf.load(PROJECT / "configs" / "trainer" / "cpu.yaml"))
    assert isinstance(ours, dict)
    own = {k: v for k, v in node.items() if k != "default_root_dir"}
    whole = {**ours, **LIGHTNINGS, **own, "_target_": TRAINER}
    if whole["max_epochs"] is None and whole["max_steps"] == -1:
        whole["max_epochs"] = 1000
    if isinstance(whole["precision"], int | str):
        whole["precision"] = PRECISIONS.get(whole["precision"], whole["precision"])
    if whole["val_check_interval"] is None:
        whole["val_check_interval"] = 1.0
    return {str(k): v for k, v in whole.items()}


def _callbacks(nodes: Node) -> Node:
    """The first ModelCheckpoint chooses the best; the run directory says where and how it lies."""
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
    """Without the settings of loggers that are options of the group, and were not chosen."""
    return {
        name: node
        for name, node in nodes.items()
        if not isinstance(node, dict)
        or "_target_" in node
        or name not in options("logger")
        or any(re.match(rf"\+*logger\.{re.escape(name)}\b", word) for word in typed)
    }
