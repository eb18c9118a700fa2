"""Models of timm."""

import pytest
import timm
import torch

from arclight.errors import UserError
from arclight_zoo.image.backbones import timm_model


def test_timm_models_are_unchanged() -> None:
    model = timm_model("resnet18", num_classes=7, in_channels=1)
    theirs = timm.create_model("resnet18", num_classes=7, in_chans=1)
    assert model.state_dict().keys() == theirs.state_dict().keys()
    assert model(torch.randn(2, 1, 32, 32)).shape == (2, 7)


def test_a_stem_for_small_images_keeps_their_size() -> None:
    model = timm_model("resnet18", num_classes=10, small_images=True).eval()
    features = model.forward_features(torch.randn(1, 3, 32, 32))  # type: ignore[operator]
    assert features.shape == (1, 512, 4, 4)
    published = 11_173_962  # ResNet-18 with a 3x3 stem and 10 classes
    assert sum(p.numel() for p in model.parameters()) == published


def test_unknown_names_are_rejected() -> None:
    with pytest.raises(UserError, match=r"did you mean model\.name=resnet18"):
        timm_model("resnet-18", num_classes=10)
    with pytest.raises(UserError, match="is for ResNets"):
        timm_model("efficientnet_b0", num_classes=10, small_images=True)


def test_activation_checkpointing_recomputes_blocks_with_the_same_gradients() -> None:
    torch.manual_seed(0)
    plain = timm_model("convnext_atto", num_classes=4)
    again = timm_model("convnext_atto", num_classes=4, activation_checkpointing=True)
    again.load_state_dict(plain.state_dict())
    images = torch.randn(2, 3, 32, 32)
    calls = {plain: 0, again: 0}
    for model in calls:

        def count(*_: object, model: torch.nn.Module = model) -> None:
            calls[model] += 1

        stages: list[torch.nn.Module] = list(model.stages)  # type: ignore[arg-type]
        stages[0].blocks[0].conv_dw.register_forward_hook(count)  # type: ignore[index,union-attr]
        model(images).square().sum().backward()
    assert list(calls.values()) == [1, 2]
    for a, b in zip(plain.parameters(), again.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)  # type: ignore[arg-type]


def test_models_without_checkpointing_are_rejected() -> None:
    with pytest.raises(UserError, match=r"type model\.activation_checkpointing=false"):
        timm_model("selecsls42", num_classes=4, activation_checkpointing=True)


@pytest.mark.parametrize(
    ("name", "size", "suits"),
    [("convnext_atto", 8, 64), ("vit_tiny_patch16_224", 32, 224), ("efficientnet_b0", 16, None)],
)
def test_images_that_the_model_does_not_take(name: str, size: int, suits: int | None) -> None:
    if suits is None:
        assert timm_model(name, num_classes=4, image_size=size).training
        return
    with pytest.raises(UserError, match=f"of {size} pixels: type data.image_size={suits}"):
        timm_model(name, num_classes=4, image_size=size)
