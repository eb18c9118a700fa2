"""What a checkpoint may hold: plain containers and tensors, which load without running code."""

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
"""What `torch.load(weights_only=True)` takes beside tensors."""


def drop_hyperparameters(checkpoint: dict[str, Any]) -> None:
    """Leaves out what `save_hyperparameters` keeps: the run directory has the config.

    Modules and partials among them would make the checkpoint one that only runs code to load.
    """
    for key in HYPERPARAMETERS:
        checkpoint.pop(key, None)


def require_plain(checkpoint: Mapping[str, Any]) -> None:
    """Raises `UserError` for state that could not be loaded again, at the first save already."""
    for path, value in _odd(checkpoint, ""):
        raise UserError(
            f"A checkpoint cannot keep {path}, a {type(value).__name__}: return tensors, numbers, "
            "text, lists and dicts from state_dict() and on_save_checkpoint()."
        )


def _odd(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, torch.Tensor) or type(value) in LEAVES:
        return
    if type(value) in MAPPINGS:
        for key, one in value.items():
            if not isinstance(one, torch.Tensor):  # most are, of a state dict
                yield from _odd(one, f"{path}.{key}".lstrip("."))
    elif type(value) in (list, tuple, set):
        for i, one in enumerate(value):
            yield from _odd(one, f"{path}[{i}]")
    else:
        yield path, value
