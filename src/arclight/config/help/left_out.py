"""Keys that a class takes and its config leaves out."""

from collections.abc import Mapping
from typing import Any

from arclight.config.checks.allowed import refusal
from arclight.config.layout import ENGINE_KEYS
from arclight.config.signatures.signature import parameters


def left_out(key: str, config: Mapping[str, Any]) -> str | None:
    """Says how to set a key that its node's class takes and no config sets; None for others.

    Args:
        key: such as `task.lr`.
        config: the frozen config, without the key.
    """
    parent, _, name = key.rpartition(".")
    node: Any = config
    for part in parent.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    target = node.get("_target_") if isinstance(node, Mapping) else None
    if not isinstance(target, str) or refusal(target):
        return None
    if name not in (*parameters(target), *ENGINE_KEYS.get(parent, ())):
        return None
    return (
        f"{key} is not in the config, though {target.rpartition('.')[2]} takes it: type "
        f"+{key}=VALUE, or add {name} to its file in configs/{parent.partition('.')[0]}/."
    )
