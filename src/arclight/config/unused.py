"""The groups that a task does not take: a module with its own network needs no `model=`."""

from typing import Any

from arclight.config.allowed import refusal
from arclight.config.signature import OPEN, signature


def unused(config: dict[str, Any]) -> set[str]:
    """Those of model, finetune, optimizer and scheduler that the task's constructor does not take.

    None where the task is not known: then the check of the config has something to say.
    """
    task = config.get("task")
    target = task.get("_target_") if isinstance(task, dict) else None
    if not isinstance(task, dict) or refusal(target, "LightningModule"):
        return set()
    found = signature(str(target))
    if found is OPEN:
        return set()
    taken = set(found.parameters) - _own(task)  # `**kwargs` are not what the run's parts are for
    left: set[str] = set()
    if "model" not in taken:
        left |= {"model", "finetune"}
    if "optimizer" not in taken:
        left.add("optimizer")
    if not taken & {"schedule", "scheduler"} or _own(task) & {"schedule", "scheduler"}:
        left.add("scheduler")
    return left


def _own(task: dict[str, Any]) -> set[str]:
    """The keys under which the task's node has a node of its own, or says that it wants none."""
    none = {k for k in ("optimizer", "schedule", "scheduler") if k in task and task[k] is None}
    return none | {k for k, v in task.items() if isinstance(v, dict) and "_target_" in v}
