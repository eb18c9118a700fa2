"""Turn Hydra's config into the plain, resolved mapping that is saved in the run directory."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from arclight.config.adopted import CHECKPOINTS, adopt
from arclight.config.best_of import key_of
from arclight.config.checks.unused import unused
from arclight.config.environment import hidden, marked
from arclight.config.layout import COMMAND_KEYS, GROUPS, ROOT, WRITTEN
from arclight.config.typed import shown
from arclight.errors import UserError

# Of `${paths.data}`, `${.lr}` and `${oc.env:HOME}`, it matches `paths` of the first only.
_INTERPOLATED = re.compile(r"\$\{\s*(\w+)\s*(?=[.\[}])")


def freeze(
    cfg: DictConfig, choices: Mapping[str, str | None] | None = None, typed: Sequence[str] = ()
) -> dict[str, Any]:
    """Returns the config as plain, resolved containers.

    Leaves out the `hydra` node, the keys of the command, top-level keys that only serve
    interpolations (such as `paths` in other templates), and groups that the task's constructor does
    not take.

    Args:
        choices: the chosen options of the config groups, to name a run that has no name.
        typed: the overrides of the command line.

    Raises:
        UserError: an interpolation fails, or an override sets a group that the task does not take.
    """
    try:
        config = plain(cfg, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(_unresolved(error)) from error
    config = adopt(config, typed)
    sources = _interpolated_from(cfg) - {*ROOT, *GROUPS, *WRITTEN}
    left_out = unused(config)
    _refuse_typed(left_out, config, typed)
    config = {k: v for k, v in config.items() if k not in sources and k not in left_out}
    if "name" in config and config["name"] is None and choices:
        config["name"] = _name(choices, "model" in left_out)
    if "task" in config:
        config["callbacks"] = _with_checkpoints(config.get("callbacks"))
    return config


def _with_checkpoints(callbacks: Any) -> Any:
    """Every run has checkpoints, even if the config lists only other callbacks."""
    if callbacks is None:
        callbacks = {}
    if not isinstance(callbacks, dict):  # the check reports it
        return callbacks
    own = callbacks.get("checkpoints", {})
    if isinstance(own, dict) and "_target_" not in own:
        own = {"_target_": CHECKPOINTS, **own}
    return {**callbacks, "checkpoints": own}


def _unresolved(error: OmegaConfBaseException) -> str:
    text, key = str(error).splitlines()[0], error.full_key
    none = re.search(r"node `(?P<node>[^`]*)` is not a container .* contain `(?P<key>[^`]*)`", text)
    if none:
        node = none["node"]
        return f"{node} cannot be left out: other keys of the config use {node}.{none['key']}."
    of = f"{key} cannot" if key and key not in text else "The config cannot"
    return f"{of} be resolved: {text.rstrip('.')}."


def _interpolated_from(cfg: DictConfig) -> set[str]:
    """The top-level keys that other values are interpolated from."""
    written = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(written, dict)
    written.pop("hydra", None)
    return {key for text in _texts(written) for key in _INTERPOLATED.findall(text)}


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for value in node.values() if isinstance(node, dict) else node:
            yield from _texts(value)


def _refuse_typed(left_out: set[str], config: dict[str, Any], typed: Sequence[str]) -> None:
    overrides = [w for w in typed if re.split(r"[.@]", key_of(w))[0] in left_out and w[0] != "~"]
    if overrides:
        task = str(config["task"]["_target_"]).rpartition(".")[2]
        group = re.split(r"[.@]", key_of(overrides[0]))[0]
        raise UserError(f"The task {task} takes no {group}: leave out {' '.join(overrides)}.")


def _name(choices: Mapping[str, str | None], without_model: bool) -> str:
    """`MODEL-DATA`, or `TASK-DATA` if the task has its own model."""
    first = choices.get("task" if without_model else "model")
    return "-".join(str(part) for part in (first, choices.get("data")) if part) or "run"


def plain(cfg: DictConfig, resolve: bool = False) -> dict[str, Any]:
    """Returns the config as plain containers, with interpolations kept unless `resolve` is set.

    Values from the environment stay `${oc.env:NAME}` in both cases, and so do keys that are named
    like secrets.
    """
    with marked():
        content = OmegaConf.to_container(cfg, resolve=resolve)
    assert isinstance(content, dict)
    kept = {str(k): v for k, v in content.items() if k not in (*COMMAND_KEYS, "hydra")}
    found = hidden(kept)
    assert isinstance(found, dict)
    return found


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Returns one line, `key: old -> new`, for each key with a different value."""
    a, b = dict(flatten(old)), dict(flatten(new))
    keys = [*a, *(k for k in b if k not in a)]
    absent = "(absent)"
    return [
        f"{k}: {shown(a.get(k, absent))} -> {shown(b.get(k, absent))}"
        for k in keys
        if a.get(k, absent) != b.get(k, absent)
    ]


def flatten(node: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Returns the leaves of nested mappings as (`a.b.c`, value) pairs."""
    found: list[tuple[str, Any]] = []
    for key, value in node.items():
        if isinstance(value, dict) and value:
            found += flatten(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value))
    return found
