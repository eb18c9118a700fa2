"""What a run chose for keys that its config leaves open: the data by their images, the model by its
sizes.
"""

from collections.abc import Mapping
from typing import Any

import lightning as L
from torch import nn

from arclight.config.freeze import flatten
from arclight.data.module import DataModule
from arclight.errors import UserError

OPEN = ("auto", None)
"""How a config leaves a key open."""


def chosen_by_data(
    config: dict[str, Any], data: L.LightningDataModule, before: Mapping[str, Any]
) -> dict[str, Any]:
    """The values that the data choose for open keys, such as `trainer.max_epochs`.

    Args:
        before: what the run chose when it began, which stays.
    """
    if not isinstance(data, DataModule):
        return {}
    written = dict(flatten(config))
    return {
        key: before[key] if isinstance(before.get(key), type(value)) else value
        for key, value in data.chosen.items()
        if key in written and written[key] in OPEN
    }


def settled(config: dict[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The config with what was chosen in place of `auto`.

    Raises:
        UserError: nothing chose `trainer.max_epochs`.
    """
    for key, value in chosen.items():
        config = _replaced(config, key.split("."), value)
    if config["trainer"].get("max_epochs") == "auto":
        raise UserError(
            "trainer.max_epochs=auto is for images, whose number decides: type "
            "trainer.max_epochs=N."
        )
    return config


def chosen_by_model(config: Mapping[str, Any], model: nn.Module) -> dict[str, Any]:
    """What the model made of open keys by the sizes of the data, where it has them as attributes.

    Args:
        config: the node of the model.
    """
    found = {key: getattr(model, key, None) for key, value in config.items() if value is None}
    plain = {key: value for key, value in found.items() if isinstance(value, bool | int | list)}
    return {f"model.{key}": value for key, value in plain.items()}


def _replaced(node: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value if node == "auto" else node
    first, *rest = path
    return {**node, first: _replaced(node[first], rest, value)}
