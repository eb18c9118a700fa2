"""The blocks that a deep model repeats: what is compiled, and sharded, one at a time."""

import re
from collections.abc import Iterator

from torch import nn

LISTS = re.compile(r"transformer|blocks?|layers?\d*|h|stages?")
"""What the list of blocks is called, in the project's models, timm's and transformers'."""


def find_blocks(model: nn.Module) -> list[nn.Module]:
    """The model's blocks, from its input to its output; none where no list has a usual name.

    A stage, of timm's staged models, is not a block but holds some.
    """
    return [block for module in _members(model) for block in _unstaged(module)]


def _members(module: nn.Module) -> Iterator[nn.Module]:
    for name, child in module.named_children():
        if LISTS.fullmatch(name) and isinstance(child, nn.ModuleList | nn.Sequential):
            yield from (m for m in child if any(True for _ in m.parameters()))
        else:
            yield from _members(child)


def _unstaged(module: nn.Module) -> list[nn.Module]:
    """The module, or what it is a stage of."""
    if isinstance(module, nn.Sequential):
        return [m for m in module if any(True for _ in m.parameters())]
    blocks = getattr(module, "blocks", None)
    return list(blocks) if isinstance(blocks, nn.ModuleList | nn.Sequential) else [module]
