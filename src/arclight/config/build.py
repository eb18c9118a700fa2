"""Build what a checked config names."""

import importlib
from typing import Any

from arclight.config.signature import parameters


def build(node: dict[str, Any], **given: Any) -> Any:
    """Calls the node's `_target_` with the node's other keys; nested nodes are built first.

    Args:
        node: a config mapping with a `_target_` that the project defines.
        given: what the runner adds; it wins over the node, and what the target does not take is
            left out.
    """
    target = node["_target_"]
    known = parameters(target)
    arguments = {key: _value(value) for key, value in node.items() if key != "_target_"}
    arguments |= {key: value for key, value in given.items() if key in known}
    return find(target)(**arguments)


def find(target: str) -> Any:
    """The class or function of that name.

    Raises:
        UnknownTargetError: the project does not define it.
    """
    parameters(target)
    module, _, name = target.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return build(value) if "_target_" in value else {k: _value(v) for k, v in value.items()}
    return value
