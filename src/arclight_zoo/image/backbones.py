"""Image models of timm, with a stem for small images."""

import difflib
from typing import Any

import torch
from torch import nn

from arclight.errors import UserError
from arclight.ranges import Count, Share
from arclight_zoo.pixels.fit import is_small

_LARGE = 64  # pixels per side, which all models of timm take, unless they have a fixed size


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
        drop_path_rate: stochastic depth (Huang et al., 2016), if the model supports it.
        small_images: replace a ResNet's stem by a 3x3 convolution of stride 1 without pooling, as
            He et al. (2016) do for images of 32 pixels. None: for images up to 48 pixels.
        image_size: pixels per side; decides `small_images` if that is None. The model must take
            images of this size.
        activation_checkpointing: recompute a block's activations in the backward pass instead of
            storing them (Chen et al., 2016).

    Raises:
        UserError: timm has no such model, it does not take images of this size, `small_images` is
            set for a model that is not a ResNet, or activation checkpointing is not supported.
    """
    import timm

    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=1)
        hint = f"did you mean model.name={close[0]}?" if close else "timm.list_models() lists all."
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
    if image_size is not None:
        _require_size(model, name, in_channels, image_size)
    if activation_checkpointing:
        _checkpoint_activations(model, name)
    return model


def _require_size(model: Any, name: str, in_channels: int, image_size: int) -> None:
    known = model.pretrained_cfg
    if image_size >= _LARGE and not known.get("fixed_input_size"):
        return
    device = next(model.parameters()).device
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, in_channels, image_size, image_size, device=device))
    except (RuntimeError, AssertionError) as error:  # timm raises either
        size = known["input_size"][-1] if known.get("fixed_input_size") else _LARGE
        raise UserError(
            f"model.name={name} does not take images of {image_size} pixels: "
            f"type data.image_size={size}."
        ) from error
    finally:
        model.train()


def _checkpoint_activations(model: nn.Module, name: str) -> None:
    try:
        model.set_grad_checkpointing(True)  # type: ignore[operator]
    except (AssertionError, AttributeError) as error:  # timm raises either if unsupported
        raise UserError(
            f"model.name={name} does not support activation checkpointing in timm: "
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
