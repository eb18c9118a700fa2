"""Attention rollout of a ViT."""

import pytest
import torch

from arclight_zoo.image.rollout import attention_map, attention_rollout
from arclight_zoo.image.vit import ViT
from arclight_zoo.nets.transformer import SelfAttention


def vit(**how: object) -> ViT:
    torch.manual_seed(0)
    sizes = {"image_size": 8, "patch_size": 2, "num_classes": 3, "d_model": 16, "n_heads": 2}
    return ViT(**(sizes | {"n_layers": 2, "in_channels": 1, "init": "unit"} | how)).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("locality", [False, True])
def test_weights_are_those_that_attention_uses(locality: bool) -> None:
    torch.manual_seed(0)
    layer = SelfAttention(16, 2, locality=locality)
    x = torch.randn(3, 5, 16)
    values = x @ layer.in_proj_weight[32:].T
    by_head = values.view(3, 5, 2, 8).transpose(1, 2)
    mixed = (layer.weights(x) @ by_head).transpose(1, 2).reshape(3, 5, 16)
    torch.testing.assert_close(layer.out_proj(mixed), layer(x))


@pytest.mark.parametrize("how", [{}, {"pool": "mean"}, {"norm_first": True, "locality": True}])
def test_maps_sum_to_one(how: dict[str, object]) -> None:
    images = torch.randn(4, 1, 8, 8)
    model = vit(**how)
    rolled, seen = attention_rollout(model, images), attention_map(model, images)
    tokens = 16 if how.get("pool") == "mean" else 17
    assert rolled.shape == (4, tokens, tokens)
    torch.testing.assert_close(rolled.sum(2), torch.ones(4, tokens))
    assert seen.shape == (4, 4, 4)
    torch.testing.assert_close(seen.sum((1, 2)), torch.ones(4))
    assert not any(m._forward_pre_hooks for m in model.modules())


def test_rollout_of_one_layer_averages_attention_and_identity() -> None:
    model = vit(n_layers=1)
    images = torch.randn(2, 1, 8, 8)
    seen: list[torch.Tensor] = []
    attention = next(m for m in model.modules() if isinstance(m, SelfAttention))
    attention.register_forward_pre_hook(lambda m, x: seen.append(m.weights(x[0])))  # type: ignore[operator]
    rolled = attention_rollout(model, images)
    torch.testing.assert_close(rolled, (seen[0].mean(1) + torch.eye(17)) / 2)


def test_the_decisive_patch_is_found() -> None:
    """Every token attends to the brightest patch, and so does the map."""
    model = vit(n_layers=1, init="reference", n_heads=1)
    attention = next(m for m in model.modules() if isinstance(m, SelfAttention))
    with torch.no_grad():
        model.patch_embed.weight.zero_()  # type: ignore[union-attr, operator]
        model.patch_embed.weight[0] = 1.0  # type: ignore[union-attr, operator, index]
        attention.in_proj_weight.zero_()
        attention.in_proj_weight[16, 0] = 20.0
        attention.in_proj_bias[0] = 1.0  # type: ignore[index]
    images = torch.zeros(1, 1, 8, 8)
    images[0, 0, 4:6, 2:4] = 1.0
    seen = attention_map(model, images)
    assert seen[0].argmax() == 2 * 4 + 1
    assert seen[0, 2, 1] > 0.9
