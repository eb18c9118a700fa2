"""The door to timm: its image models, ready for images as small as ours."""

import difflib
from typing import Any

from torch import nn

from arclight.errors import UserError
from arclight.ranges import Count, Share
from arclight_zoo.pixels.fit import is_small


def timm_model(
    name: str,
    num_classes: Count,
    in_channels: Count = 3,
    drop_rate: Share = 0.0,
    drop_path_rate: Share = 0.0,
    small_images: bool | None = False,
    image_size: Count | None = None,
    activation_checkpointing: bool = False,
) -> nn.Module:
    """A model of timm (Wightman, 2019) with random weights and a head for `num_classes`.

    Args:
        name: timm's name, such as `resnet18`.
        num_classes: outputs of the head.
        in_channels: channels of the images.
        drop_rate: dropout before the head.
        drop_path_rate: stochastic depth (Huang et al., 2016), where the model has it.
        small_images: a 3x3 convolution of stride 1 without pooling in the place of a ResNet's stem,
            as He et al. (2016) use for images of 32 pixels. None: up to 48 pixels.
        image_size: pixels a side, by which `small_images` is chosen.
        activation_checkpointing: computes a block's activations again in the backward pass instead
            of keeping them (Chen et al., 2016).

    Raises:
        UserError: timm has no such model, `small_images` with one that is not a ResNet, or
            checkpointing with one that has none.
    """
    import timm

    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=1)
        hint = f"did you mean model.name={close[0]}?" if close else "timm.list_models() names all."
        raise UserError(f"model.name={name} is not a model of timm: {hint}")
    options: dict[str, Any] = {"drop_path_rate": drop_path_rate} if drop_path_rate else {}
    model: nn.Module = timm.create_model(
        name, num_classes=num_classes, in_chans=in_channels, drop_rate=drop_rate, **options
    )
    if small_images is None:
        small_images = is_small(image_size)
    if small_images:
        _shrink_stem(model, name)
    model.small_images = small_images  # type: ignore[assignment]
    if activation_checkpointing:
        _checkpoint_activations(model, name)
    return model


def _checkpoint_activations(model: nn.Module, name: str) -> None:
    try:
        model.set_grad_checkpointing(True)  # type: ignore[operator]
    except (AssertionError, AttributeError) as error:  # timm's two ways to say that it has none
        raise UserError(
            f"model.name={name} has no activation checkpointing in timm: "
            "type model.activation_checkpointing=false."
        ) from error


def _shrink_stem(model: nn.Module, name: str) -> None:
    stem = getattr(model, "conv1", None)
    if not isinstance(stem, nn.Conv2d) or not hasattr(model, "maxpool"):
        raise UserError(
            f"model.small_images=true is for ResNets, not {name}: type model.small_images=false."
        )
    small = nn.Conv2d(stem.in_channels, stem.out_channels, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(small.weight, mode="fan_out", nonlinearity="relu")
    model.conv1, model.maxpool = small, nn.Identity()
