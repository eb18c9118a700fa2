"""Operations that all processes of a sharded model must do together."""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import torch.distributed as dist
from torch import Tensor, nn

__all__ = ["all_ended", "is_sharded"]


def is_sharded(model: nn.Module) -> bool:
    """Whether the model's weights are sharded over processes, which gather them to compute."""
    return _mesh(model) is not None


def all_ended(done: Tensor, model: nn.Module) -> bool:
    """Whether all rows have ended.

    For a sharded model, this includes the rows of all processes: if one stopped earlier, the others
    would wait for its shards.

    Args:
        done: whether each row has ended, `(batch,)`.
        model: the model that generates the rows.
    """
    ended = done.all()
    mesh = _mesh(model)
    if mesh is not None:
        ended = ended.int()
        dist.all_reduce(ended, dist.ReduceOp.MIN, group=mesh.get_group())
    return bool(ended)


def is_shard(tensor: Tensor) -> bool:
    """Whether it is a `DTensor`; importing that class would take a second."""
    return hasattr(tensor, "full_tensor")


def holds_shards(params: Iterable[Any]) -> bool:
    """Whether parameters, or groups of an optimizer, are sharded.

    Of torch's fused kernels, only those of Adam and AdamW take shards.
    """
    groups = [group["params"] if isinstance(group, Mapping) else [group] for group in params]
    return any(map(is_shard, chain.from_iterable(groups)))


def _mesh(model: nn.Module) -> Any:
    """The device mesh of the first sharded weight; None if there is none."""
    if not (dist.is_available() and dist.is_initialized()):
        return None
    shards: Any = filter(is_shard, model.parameters())
    return next((p.device_mesh for p in shards), None)
