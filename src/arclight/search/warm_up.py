"""Imports modules once, before the processes of trials are forked."""

import gc
import importlib
from typing import Any

# Modules that each trial would otherwise import, each a tenth of a second or more. W&B imports the
# last two only when a run starts.
TRIAL = ("arclight.run.fit", "matplotlib.backends.backend_agg", "pyarrow.parquet")
TRIAL_WITH_WANDB = ("wandb", "wandb.apis.public", "pandas")


def warm_up(*configs: dict[str, Any]) -> None:
    """Imports what a trial needs, so its forked process has it already. Initialises no device.

    The imported objects are frozen for the garbage collector (`gc.freeze`): scanning them in each
    trial would also copy memory that forked processes share.
    """
    names: dict[str, None] = dict.fromkeys(TRIAL)
    for config in configs:
        names |= dict.fromkeys(target.rpartition(".")[0] for target in _targets(config))
        if "wandb" in (config["logger"] or {}):
            names |= dict.fromkeys(TRIAL_WITH_WANDB)
    for module in names:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()


def _targets(node: Any) -> list[str]:
    if not isinstance(node, dict):
        return []
    own = [node["_target_"]] if "_target_" in node else []
    return own + [target for value in node.values() for target in _targets(value)]
