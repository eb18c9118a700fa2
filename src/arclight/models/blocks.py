"""The blocks that a deep model repeats: what is compiled and sharded one at a time."""

import re
from typing import Any

from torch import nn

__all__ = ["find_blocks"]

USUAL_NAMES = re.compile(r"transformer|blocks?|layers?\d*|h|stages?")
"""What the list of blocks is called in timm's, torchvision's and transformers' models."""


def find_blocks(model: nn.Module) -> list[nn.Module]:
    """The model's blocks, from its input to its output.

    A model says them by a method `layers()`. For one that does not, they are looked for under the
    usual names; none are found where no list has one.
    """
    return [block for stack in find_stacks(model) for block in stack]


def find_stacks(model: nn.Module) -> list[list[nn.Module]]:
    """The same, apart for each stack of blocks: two towers have two, an encoder-decoder too."""
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
