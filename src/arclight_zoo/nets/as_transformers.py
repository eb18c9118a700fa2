"""Convert weights to the names and layouts of transformers."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from arclight_zoo.nets.transformer import TransformerBlock


def first_block(model: Any) -> Any:
    return model.transformer[0]


def blocks_of(model: Any) -> Iterator[tuple[int, Any]]:
    for i, block in enumerate(model.transformer):
        assert isinstance(block, TransformerBlock)
        yield i, block


def layer_weights(name: str, part: Any, transposed: bool = False) -> dict[str, Tensor]:
    """Weight and bias of a layer; `transposed` for GPT-2's linear layers."""
    weight = part.weight.T if transposed else part.weight
    return {f"{name}.weight": weight, f"{name}.bias": bias_or_zeros(part.weight, part.bias)}


def bias_or_zeros(weight: Tensor, bias: Tensor | None) -> Tensor:
    """The bias, or zeros without one, since transformers' models always have biases."""
    return weight.new_zeros(weight.shape[0]) if bias is None else bias


def renamed_by(names: Mapping[str, str], key: str) -> str | None:
    """The new name of a weight, from patterns and their replacements; None if none matches."""
    for pattern, name in names.items():
        if match := re.fullmatch(pattern, key):
            return match.expand(name)
    return None
