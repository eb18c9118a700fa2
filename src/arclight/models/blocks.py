"""Find the repeated blocks of a deep model, which are compiled and sharded one by one."""

import re
from typing import Any

from torch import nn

__all__ = ["find_blocks"]

USUAL_NAMES = re.compile(r"transformer|blocks?|layers?\d*|h|stages?")
"""Names of the list of blocks in models of timm, torchvision and transformers."""


def find_blocks(model: nn.Module) -> list[nn.Module]:
    """Returns the model's blocks, from input to output.

    A model may define a method `layers()` that returns them. Otherwise, lists of modules with a
    usual name are used; if there are none, the result is empty.
    """
    return [block for stack in find_stacks(model) for block in stack]


def find_stacks(model: nn.Module) -> list[list[nn.Module]]:
    """Returns the blocks by stack: two towers, or an encoder and a decoder, are two stacks."""
    own: Any = getattr(model, "layers", None)
    if callable(own) and not isinstance(own, nn.Module):
        return [list(own())]
    found: list[list[nn.Module]] = []
    mine: list[nn.Module] = []
    for name, child in model.named_children():
        if USUAL_NAMES.fullmatch(name) and isinstance(child, nn.ModuleList | nn.Sequential):
            mine += [b for m in child if any(True for _ in m.parameters()) for b in _unstaged(m)]
        else:
            found += find_stacks(child)
    return [*([mine] if mine else []), *found]


def _unstaged(module: nn.Module) -> list[nn.Module]:
    """The module itself, or the blocks of a stage (timm's staged models)."""
    if isinstance(module, nn.Sequential):
        return [m for m in module if any(True for _ in m.parameters())]
    blocks = getattr(module, "blocks", None)
    return list(blocks) if isinstance(blocks, nn.ModuleList | nn.Sequential) else [module]
