"""Turn Hydra's config into the plain, resolved mapping that a run directory keeps."""

import re
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from arclight.errors import UserError

# What says where and how to start a run, not what the run is.
COMMAND_KEYS = ("run_dir", "resume", "search")

_SECRET = re.compile(r"(^|_)(api_?key|token|password|secret)$", re.IGNORECASE)
MASK = "<masked>"


def freeze(cfg: DictConfig) -> dict[str, Any]:
    """The config as plain containers: resolved, without Hydra's own node and the command's keys.

    Raises:
        UserError: an interpolation leads nowhere.
    """
    try:
        return plain(cfg, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"The config does not resolve: {str(error).splitlines()[0]}.") from error


def plain(cfg: DictConfig, resolve: bool = False) -> dict[str, Any]:
    """The same with its interpolations as they are written, unless they are resolved."""
    content = OmegaConf.to_container(cfg, resolve=resolve)
    assert isinstance(content, dict)
    kept = {str(k): v for k, v in content.items() if k not in (*COMMAND_KEYS, "hydra")}
    masked = _mask(kept)
    assert isinstance(masked, dict)
    return masked


def _mask(node: Any) -> Any:
    """Values under keys such as `api_key` or `token` never reach the disk."""
    if isinstance(node, dict):
        return {
            k: MASK if isinstance(v, str) and _SECRET.search(str(k)) else _mask(v)
            for k, v in node.items()
        }
    if isinstance(node, list):
        return [_mask(v) for v in node]
    return node


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """One line for each key whose value differs, as `key: old -> new`."""
    a, b = dict(flatten(old)), dict(flatten(new))
    keys = [*a, *(k for k in b if k not in a)]
    absent = "(absent)"
    return [
        f"{k}: {a.get(k, absent)} -> {b.get(k, absent)}"
        for k in keys
        if a.get(k, absent) != b.get(k, absent)
    ]


def flatten(node: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """The leaves of nested mappings as (`a.b.c`, value) pairs."""
    found: list[tuple[str, Any]] = []
    for key, value in node.items():
        if isinstance(value, dict) and value:
            found += flatten(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value))
    return found
