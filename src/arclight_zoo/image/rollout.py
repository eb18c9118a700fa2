"""Attention rollout of a vision transformer."""

import math

import torch
from torch import Tensor

from arclight_zoo.image.vit import ViT
from arclight_zoo.nets.transformer import SelfAttention


def attention_rollout(model: ViT, images: Tensor) -> Tensor:
    """The contribution of each input token to each output token (Abnar and Zuidema, 2020).

    The attention of a layer is averaged over its heads, and then with the identity for the residual
    connection. The matrices of all layers are multiplied.

    Args:
        model: in evaluation mode.
        images: preprocessed, `(batch, channels, size, size)`.

    Returns:
        `(batch, tokens, tokens)`; rows sum to 1. A class token is the first token.
    """
    rolled: list[Tensor] = []

    def look(module: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, SelfAttention)
        weights = module.weights(inputs[0]).mean(1)
        mixed = (weights + torch.eye(weights.shape[1], device=weights.device)) / 2
        rolled[:] = [mixed @ rolled[0] if rolled else mixed]

    layers = [module for module in model.modules() if isinstance(module, SelfAttention)]
    handles = [layer.register_forward_pre_hook(look) for layer in layers]
    try:
        with torch.no_grad():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
    return rolled[0]


def attention_map(model: ViT, images: Tensor) -> Tensor:
    """The rollout of the class token as a map of the patches: `(batch, rows, columns)`.

    Without a class token, the mean over the patches' rollouts. Each map sums to 1.
    """
    rolled = attention_rollout(model, images)
    seen = rolled.mean(1) if model.cls_token is None else rolled[:, 0, 1:]
    side = math.isqrt(seen.shape[1])
    return (seen / seen.sum(1, keepdim=True)).view(-1, side, side)
