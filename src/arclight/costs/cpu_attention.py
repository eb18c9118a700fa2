"""Attention on meta tensors with the kernel of a CPU."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from arclight.libraries.pytorch import (
    CPU_ATTENTION,
)


class CpuAttention(TorchFunctionMode):
    """Selects the CPU's attention kernel for meta tensors.

    By default they would use the kernel that stores all attention weights.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            return self.attend(func, *args, **kwargs)
        return func(*args, **kwargs)

    @staticmethod
    def attend(
        func: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        if dropout_p or query.ndim != 4 or (attn_mask is not None and attn_mask.requires_grad):
            out: Tensor = func(
                query, key, value, attn_mask, dropout_p, is_causal, scale=scale,
                enable_gqa=enable_gqa,
            )  # fmt: skip
            return out
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            attn_mask = attn_mask.to(query.dtype)
        out, _ = CPU_ATTENTION(
            query, key, value, dropout_p, is_causal, attn_mask=attn_mask, scale=scale
        )
        return out
