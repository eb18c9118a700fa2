"""The door to timm."""

import pytest
import timm
import torch

from arclight.errors import UserError
from arclight.models.backbones import timm_model


def test_it_is_timms_model() -> None:
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


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match=r"did you mean model\.name=resnet18"):
        timm_model("resnet-18", num_classes=10)
    with pytest.raises(UserError, match="is for ResNets"):
        timm_model("efficientnet_b0", num_classes=10, small_images=True)
