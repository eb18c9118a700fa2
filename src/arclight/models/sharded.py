"""What processes that share one model's weights must do together."""

from typing import Any

import torch.distributed as dist
from torch import Tensor, nn

__all__ = ["all_ended", "is_sharded"]


def is_sharded(model: nn.Module) -> bool:
    """Whether processes hold shares of its weights, which they gather together when it computes."""
    return _mesh(model) is not None


def all_ended(done: Tensor, model: nn.Module) -> bool:
    """Whether all rows have ended.

    Of a sharded model, those of all processes: one that left earlier would leave the others
    waiting for its share of the weights.

    Args:
        done: true for each row that has.
        model: what makes the rows.
    """
    ended = done.all()
    mesh = _mesh(model)
    if mesh is not None:
        ended = ended.int()
        dist.all_reduce(ended, dist.ReduceOp.MIN, group=mesh.get_group())
    return bool(ended)


def is_shard(tensor: Tensor) -> bool:
    """Whether it is a `DTensor`, whose class takes a second to import."""
    return hasattr(tensor, "full_tensor")


def _mesh(model: nn.Module) -> Any:
    """Of the first weight that is a shard; None where there is none."""
    if not (dist.is_available() and dist.is_initialized()):
        return None
    shards: Any = filter(is_shard, model.parameters())
    return next((p.device_mesh for p in shards), None)
