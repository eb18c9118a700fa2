"""The depth of each parameter in a model, for layer-wise learning rate decay."""

from typing import Any

from torch import nn

from arclight.errors import UserError
from arclight.models.blocks import find_stacks


def depths_of(model: nn.Module) -> dict[str, int]:
    """Returns the depth of each parameter by name: 0 before the blocks, then the block's number.

    A model may define its blocks with `layers()`, or its groups with timm's `group_matcher()`.
    Otherwise, blocks are found by the usual names. Parameters after the blocks are one deeper than
    the last block.

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
            f"{type(model).__name__} has no blocks with a usual name, so the depth of its layers "
            "is unknown: give it a method layers() that returns its blocks from input to output, "
            "or type finetune=full (layer_decay=1)."
        )
    depths: dict[str, int] = {}
    last, begun = max(of_block.values()), False
    for name in names:  # the order shows which parameters come before or after the blocks
        begun = begun or name in of_block
        depths[name] = of_block.get(name, last + 1 if begun else 0)
    return depths


def _by_blocks(model: nn.Module) -> dict[str, int]:
    """The number of each parameter's block in its stack, counted from 1."""
    number = {
        id(p): i
        for stack in find_stacks(model)
        for i, block in enumerate(stack, 1)
        for p in block.parameters()
    }
    return {n: number[id(p)] for n, p in model.named_parameters() if id(p) in number}
