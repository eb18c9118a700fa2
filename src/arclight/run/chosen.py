"""The values that data and model choose for keys that the config leaves open."""

from collections.abc import Mapping
from typing import Any

import lightning as L
from torch import nn

from arclight.config.freeze import flatten
from arclight.data.module import DataModule
from arclight.errors import UserError
from arclight.run_directory import RunDirectory

OPEN = ("auto", None)
"""How a config leaves a key open."""


def recorded(run: RunDirectory) -> dict[str, Any]:
    """The values that the data chose when a run started: numbers, which cannot build anything."""
    known = run.manifest.get("chosen", {}) if run.manifest_file.is_file() else {}
    return {
        key: value
        for key, value in known.items()
        if key.startswith(("data.", "trainer.")) and isinstance(value, int | float)
    }


def chosen_by_data(config: dict[str, Any], data: L.LightningDataModule) -> dict[str, Any]:
    """The values that the data choose for keys that are `auto`, and for their own null keys."""
    if not isinstance(data, DataModule):
        return {}
    written = dict(flatten(config))

    def is_open(key: str) -> bool:
        # epochs may be null because max_steps or max_time ends the run
        return written[key] == "auto" or (written[key] is None and key.startswith("data."))

    return {k: v for k, v in data.chosen.items() if k in written and is_open(k)}


def filled(config: dict[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The config with these values where it leaves the keys open."""
    for key, value in chosen.items():
        config = _filled(config, key.split("."), value)
    return config


def require_length(config: Mapping[str, Any]) -> None:
    """Raises `UserError` where nothing has chosen `trainer.max_epochs`."""
    if config["trainer"].get("max_epochs") == "auto":
        raise UserError(
            "trainer.max_epochs=auto is not chosen by these data: type trainer.max_epochs=N."
        )


def chosen_by_model(config: Mapping[str, Any], model: nn.Module) -> dict[str, Any]:
    """The values that the model chose for its open keys, if it stores them as attributes.

    Args:
        config: the node of the model.
    """
    found = {key: getattr(model, key, None) for key, value in config.items() if value is None}
    plain = {key: value for key, value in found.items() if isinstance(value, bool | int | list)}
    return {f"model.{key}": value for key, value in plain.items()}


def _filled(node: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value if node in OPEN else node
    first, *rest = path
    if not isinstance(node, dict) or first not in node:
        return node
    return {**node, first: _filled(node[first], rest, value)}
