"""The depth of each parameter, for layer-wise learning rate decay."""

import copy

import pytest
import timm
import torchvision
from torch import nn

from arclight.errors import UserError
from arclight.models.blocks import find_blocks
from arclight.models.depths import depths_of
from arclight.models.heads import find_head
from arclight.training.optimizers import decay_groups
from arclight_zoo.image.cnn import CNN
from arclight_zoo.image.vit import ViT


def vit() -> ViT:
    return ViT(image_size=8, patch_size=4, in_channels=1, num_classes=3, d_model=8, n_heads=2, n_layers=3, d_ff=16)  # fmt: skip  # noqa: E501


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("vit_tiny_patch16_224", 13),
        ("convnext_atto", 13),
        ("resnet18", 9),
        ("regnetx_002", 14),
        ("vgg11", 8),
        ("efficientnet_b0", 17),
    ],
)
def test_timm_models_use_their_group_matcher(name: str, most: int) -> None:
    model = timm.create_model(name, num_classes=10)
    depths = depths_of(model)
    assert set(depths) == {name for name, _ in model.named_parameters()}
    assert (min(depths.values()), max(depths.values())) == (0, most)
    head = find_head(model)
    assert all(depths[n] == most for n in depths if n.startswith(f"{head}."))
    rates = {group["lr"] for group in decay_groups(model, 0.0, 1.0, 0.5)}
    assert rates == {0.5**i for i in range(most + 1)}


def test_model_with_a_layers_method() -> None:
    model = vit()
    depths = depths_of(model)
    assert depths["patch_embed.weight"] == 0
    assert [depths[f"transformer.{i}.ln1.weight"] for i in range(3)] == [1, 2, 3]
    assert depths["head.weight"] == 4
    assert find_blocks(model) == list(model.transformer)
    assert find_head(model) == "head"


def test_blocks_with_usual_names_are_found() -> None:
    model = nn.ModuleDict({"stem": nn.Linear(2, 2), "blocks": nn.ModuleList([nn.Linear(2, 2)] * 1)})
    assert depths_of(model) == {
        "stem.weight": 0, "stem.bias": 0, "blocks.0.weight": 1, "blocks.0.bias": 1,
    }  # fmt: skip


def test_stages_are_numbered_in_sequence_and_towers_separately() -> None:
    depths = depths_of(torchvision.models.resnet18(num_classes=3))
    assert depths["conv1.weight"] == 0
    assert [depths[f"layer{i}.{j}.conv1.weight"] for i in (1, 2, 3, 4) for j in (0, 1)] == [
        *range(1, 9)
    ]
    assert depths["fc.weight"] == 9
    tower = nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])})
    towers = nn.ModuleDict({"image": tower, "text": copy.deepcopy(tower)})
    depths = depths_of(towers)
    assert [depths[f"{name}.layers.1.weight"] for name in ("image", "text")] == [2, 2]


def test_model_without_blocks_is_a_user_error() -> None:
    model = CNN(10, in_channels=1)
    with pytest.raises(
        UserError, match=r"CNN has no blocks with a usual name, .* method layers\(\)"
    ):
        decay_groups(model, 0.0, 1.0, 0.5)
    assert {group["lr"] for group in decay_groups(model, 0.0, 1.0)} == {1.0}
    assert find_head(model) == "classifier"
