"""No weight decay for norms, biases and embeddings; each parameter is in exactly one group."""

import pytest
from torch import nn

from arclight.training.optimizers import adamw, decay_groups, sgd
from arclight_zoo.image.vit import ViT


def test_only_matrices_and_kernels_decay() -> None:
    model = ViT(8, 2, 10, 16, 2, 1, in_channels=1)
    names = {id(p): n for n, p in model.named_parameters()}
    decayed, spared = (
        {names[id(p)] for p in group["params"]} for group in decay_groups(model, 0.1, lr=1.0)
    )
    assert decayed | spared == set(names.values())
    assert "patch_embed.weight" in decayed
    assert "head.weight" in decayed
    assert {"pos_embed", "cls_token", "head.bias", "transformer.0.ln1.weight"} <= spared


def test_embedding_tables_do_not_decay() -> None:
    model = nn.Sequential(nn.Embedding(4, 3), nn.Linear(3, 2))
    decayed, spared = decay_groups(model, 0.1, lr=1.0)
    assert [tuple(p.shape) for p in decayed["params"]] == [(2, 3)]
    assert [tuple(p.shape) for p in spared["params"]] == [(4, 3), (2,)]


def test_frozen_parameters_are_left_out() -> None:
    model = nn.Linear(3, 2)
    model.weight.requires_grad = False
    assert [g["params"] for g in decay_groups(model, 0.1, lr=1.0)] == [[model.bias]]


@pytest.mark.parametrize("make", [adamw, sgd])
@pytest.mark.parametrize("fused", [True, False])
def test_options_reach_the_optimizer(make, fused: bool) -> None:  # type: ignore[no-untyped-def]
    optimizer = make(nn.Linear(3, 2), fused, lr=0.5, weight_decay=0.25)
    assert [g["weight_decay"] for g in optimizer.param_groups] == [0.25, 0.0]
    assert all(g["lr"] == 0.5 and g["fused"] is fused for g in optimizer.param_groups)
