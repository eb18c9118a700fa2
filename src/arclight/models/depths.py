"""How deep in a model each parameter lies, for learning rates that fall towards the input."""

from typing import Any

from torch import nn

from arclight.errors import UserError
from arclight.models.blocks import find_stacks


def depths_of(model: nn.Module) -> dict[str, int]:
    """The depth of each parameter by name: 0 before the blocks, then the number of the block.

    A model says its blocks by `layers()`, or its groups by timm's `group_matcher()`. For one that
    does neither, blocks are looked for under the usual names.

    Raises:
        UserError: no blocks are found.
    """
    names = [name for name, _ in model.named_parameters()]
    grouped: Any = getattr(model, "group_matcher", None)
    if callable(grouped):
        from timm.models import group_parameters

        found: dict[str, int] = group_parameters(model, grouped(coarse=False), reverse=True)
        first = min(found.values(), default=0)
        return {name: found[name] - first for name in names}
    of_block = _by_blocks(model)
    if not of_block:
        raise UserError(
            f"{type(model).__name__} has no blocks by a usual name, so that the depth of its "
            "layers is not known: give it a method layers() that returns its blocks from input to "
            "output, or type finetune=full (layer_decay=1)."
        )
    depths: dict[str, int] = {}
    last, begun = max(of_block.values()), False
    for name in names:  # in the order of the model: before the blocks, or after
        begun = begun or name in of_block
        depths[name] = of_block.get(name, last + 1 if begun else 0)
    return depths


def _by_blocks(model: nn.Module) -> dict[str, int]:
    """The number of the block that each parameter is in, from 1, within its stack of blocks."""
    number = {
        id(p): i
        for stack in find_stacks(model)
        for i, block in enumerate(stack, 1)
        for p in block.parameters()
    }
    return {n: number[id(p)] for n, p in model.named_parameters() if id(p) in number}
