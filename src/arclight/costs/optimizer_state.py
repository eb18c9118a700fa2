"""The memory of an optimizer's state, from a step with small parameters."""

from typing import Any

import torch
from torch import nn

from arclight.libraries.pytorch import (
    is_traceable_wrapper_subclass,
)
from arclight.tasks.task import Task


def state_bytes(task: Task) -> float:
    """Bytes of optimizer state for each byte of a gradient.

    The parameter groups are those of the task. The step is taken with small parameters that replace
    each group's vectors, matrices and kernels.

    Raises:
        UserError: the optimizer does not support the model.
    """
    optimizer = task.optimizer_of(task.model, fused=False)
    sizes: dict[nn.Parameter, int] = {}  # bytes that each small parameter represents
    for group in optimizer.param_groups:
        small: dict[tuple[int, torch.dtype], nn.Parameter] = {}
        for own in group["params"]:
            shape = (128,) * min(2, own.ndim) + (1,) * (own.ndim - 2)
            one = small.setdefault(
                (own.ndim, own.dtype), nn.Parameter(torch.zeros(shape, dtype=own.dtype))
            )
            sizes[one] = sizes.get(one, 0) + own.numel() * own.element_size()
        group["params"] = list(small.values())
    for one in sizes:
        one.grad = torch.zeros_like(one)
    with torch.compiler.set_stance("force_eager"):  # torchao would compile for every shape
        optimizer.step()
    kept = 0.0
    for one, size in sizes.items():
        states = [t for t in optimizer.state[one].values() if torch.is_tensor(t) and t.ndim]
        kept += size * sum(_bytes(t) for t in states) / one.nbytes
    return kept / sum(sizes.values())


def _bytes(tensor: Any) -> int:
    """The real size of a tensor in bytes, also of torchao's 8-bit tensors."""
    if not is_traceable_wrapper_subclass(tensor):
        return int(tensor.nbytes)
    names, _ = tensor.__tensor_flatten__()
    return sum(_bytes(getattr(tensor, name)) for name in names)
