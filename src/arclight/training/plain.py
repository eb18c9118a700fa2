"""What a checkpoint may contain: plain containers and tensors, which load without running code."""

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from arclight.errors import UserError

HYPERPARAMETERS = (
    "hyper_parameters",
    "hparams_name",
    "hparams_type",
    "datamodule_hyper_parameters",
    "datamodule_hparams_name",
    "datamodule_hparams_type",
)
LEAVES = {bool, int, float, complex, str, bytes, type(None), torch.Size, torch.dtype, torch.device}
MAPPINGS = {dict, OrderedDict, Counter}
"""Types that `torch.load(weights_only=True)` accepts besides tensors."""


def drop_hyperparameters(checkpoint: dict[str, Any]) -> None:
    """Removes what `save_hyperparameters` adds: the run directory has the config.

    Hyperparameters can contain modules and partials, which cannot be loaded without running code.
    """
    for key in HYPERPARAMETERS:
        checkpoint.pop(key, None)


def require_plain(checkpoint: Mapping[str, Any]) -> None:
    """Raises `UserError` for state that could not be loaded again, already at the first save."""
    for path, value in _unsupported(checkpoint, ""):
        raise UserError(
            f"A checkpoint cannot keep {path}, a {type(value).__name__}: return tensors, numbers, "
            "text, lists and dicts from state_dict() and on_save_checkpoint()."
        )


def _unsupported(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, torch.Tensor) or type(value) in LEAVES:
        return
    if type(value) in MAPPINGS:
        for key, one in value.items():
            if not isinstance(one, torch.Tensor):  # a shortcut: most values are tensors
                yield from _unsupported(one, f"{path}.{key}".lstrip("."))
    elif type(value) in (list, tuple, set):
        for i, one in enumerate(value):
            yield from _unsupported(one, f"{path}[{i}]")
    else:
        yield path, value
