"""Optimizers and their parameter groups; norms, biases and embeddings get no weight decay."""

from collections.abc import Iterable

import torch
from torch import nn

from arclight.models.depths import depths_of
from arclight.models.sharded import holds_shards
from arclight.ranges import NonNegative, Positive, Share


def decay_groups(
    model: nn.Module | Iterable[nn.Parameter],
    weight_decay: float,
    lr: float,
    layer_decay: float = 1.0,
) -> list[dict[str, object]]:
    """Parameter groups: weight decay for matrices and kernels; none for norms, biases, embeddings.

    Args:
        model: a module; bare parameters form one group.
        weight_decay: of the groups with weight decay.
        lr: the learning rate of the last layers.
        layer_decay: ratio between the learning rate of a block and that of the next one.

    Raises:
        UserError: `layer_decay` is not 1 and the model's blocks cannot be found.
    """
    if not isinstance(model, nn.Module):  # bare parameters, without names
        return [{"params": list(model), "weight_decay": weight_decay, "lr": lr}]
    embeddings = {
        id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()
    }
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    depths = depths_of(model) if layer_decay != 1 else {}
    last = max(depths.values(), default=0)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        embeds = id(parameter) in embeddings or name.endswith(("_embed", "_token"))
        decay = 0.0 if parameter.ndim < 2 or embeds else weight_decay
        rate = lr * layer_decay ** (last - depths.get(name, last))
        groups.setdefault((decay, rate), []).append(parameter)
    return [
        {"params": members, "weight_decay": decay, "lr": rate}
        for (decay, rate), members in sorted(groups.items(), key=lambda g: g[0], reverse=True)
    ]


def adamw(
    model: nn.Module | Iterable[nn.Parameter],
    fused: bool,
    lr: Positive = 1e-3,
    weight_decay: NonNegative = 0.05,
    betas: tuple[Share, Share] = (0.9, 0.999),
    eps: Positive = 1e-8,
    layer_decay: Positive = 1.0,
) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter, 2019), with torch's fused kernel if `fused`."""
    groups = decay_groups(model, weight_decay, lr, layer_decay)
    return torch.optim.AdamW(groups, lr=lr, betas=(betas[0], betas[1]), eps=eps, fused=fused)


def sgd(
    model: nn.Module | Iterable[nn.Parameter],
    fused: bool,
    lr: Positive = 0.1,
    weight_decay: NonNegative = 5e-4,
    momentum: Share = 0.9,
    nesterov: bool = True,
    layer_decay: Positive = 1.0,
) -> torch.optim.Optimizer:
    """SGD with (Nesterov) momentum, with torch's fused kernel if `fused` and nothing is sharded."""
    groups = decay_groups(model, weight_decay, lr, layer_decay)
    fused = fused and not holds_shards(groups)
    return torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=nesterov, fused=fused)
