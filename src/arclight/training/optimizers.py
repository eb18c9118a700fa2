"""Optimizers by name; weight decay spares what it only harms."""

import re
from collections.abc import Sequence

import torch
from torch import nn

from arclight.ranges import NonNegative, Positive, Share


def decay_groups(
    model: nn.Module, weight_decay: float, lr: float, layer_decay: float = 1.0
) -> list[dict[str, object]]:
    """Parameter groups: matrices and kernels decay; norms, biases and embeddings do not.

    Args:
        layer_decay: the learning rate of a block is that of the one after it, times this.
    """
    embeddings = {
        id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()
    }
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    depths = _depths(model)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        embeds = id(parameter) in embeddings or name.endswith(("_embed", "_token"))
        decay = 0.0 if parameter.ndim < 2 or embeds else weight_decay
        rate = lr * layer_decay ** (max(depths.values()) - depths[name])
        groups.setdefault((decay, rate), []).append(parameter)
    return [
        {"params": members, "weight_decay": decay, "lr": rate}
        for (decay, rate), members in sorted(groups.items(), key=lambda g: g[0], reverse=True)
    ]


def _depths(model: nn.Module) -> dict[str, int]:
    """How far from the input each parameter is: 0 before the blocks, then the block's number."""
    depths: dict[str, int] = {}
    after = 0
    for name, _ in model.named_parameters():
        block = re.search(r"\.?(?:transformer|blocks?|layers?|h|stages)\.(\d+)\.", name)
        if block:
            after = max(after, int(block[1]) + 1)
        depths[name] = int(block[1]) + 1 if block else -1
    ended = False
    for name, depth in depths.items():  # in the order of the model: before the blocks, or after
        ended = ended or depth > 0
        if depth < 0:
            depths[name] = after + 1 if ended else 0
    return depths


def adamw(
    model: nn.Module,
    fused: bool,
    lr: Positive = 1e-3,
    weight_decay: NonNegative = 0.05,
    betas: Sequence[float] = (0.9, 0.999),
    eps: Positive = 1e-8,
    layer_decay: Positive = 1.0,
) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter, 2019), with torch's fused kernel where it may be used."""
    groups = decay_groups(model, weight_decay, lr, layer_decay)
    return torch.optim.AdamW(groups, lr=lr, betas=(betas[0], betas[1]), eps=eps, fused=fused)


def sgd(
    model: nn.Module,
    fused: bool,
    lr: Positive = 0.1,
    weight_decay: NonNegative = 5e-4,
    momentum: Share = 0.9,
    nesterov: bool = True,
    layer_decay: Positive = 1.0,
) -> torch.optim.Optimizer:
    """SGD with (Nesterov) momentum, with torch's fused kernel where it may be used."""
    groups = decay_groups(model, weight_decay, lr, layer_decay)
    return torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=nesterov, fused=fused)
