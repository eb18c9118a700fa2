"""Find the groups that a task does not take: a module with its own network needs no `model=`."""

from typing import Any

from arclight.config.checks.allowed import refusal
from arclight.config.signatures.signature import OPEN, signature


def unused(config: dict[str, Any]) -> set[str]:
    """Returns which of model, finetune, optimizer and scheduler the task's constructor ignores.

    Returns an empty set if the task is unknown, which the check of the config reports.
    """
    task = config.get("task")
    target = task.get("_target_") if isinstance(task, dict) else None
    if not isinstance(task, dict) or refusal(target, "LightningModule"):
        return set()
    found = signature(str(target))
    if found is OPEN:
        return set()
    taken = set(found.parameters) - _own(task)  # the run passes its parts not through `**kwargs`
    left: set[str] = set()
    if "model" not in taken:
        left |= {"model", "finetune"}
    if "optimizer" not in taken:
        left.add("optimizer")
    if not taken & {"schedule", "scheduler"} or _own(task) & {"schedule", "scheduler"}:
        left.add("scheduler")
    return left


def _own(task: dict[str, Any]) -> set[str]:
    """The keys for which the task's node has its own node, or null."""
    none = {k for k in ("optimizer", "schedule", "scheduler") if k in task and task[k] is None}
    return none | {k for k, v in task.items() if isinstance(v, dict) and "_target_" in v}
