"""Convert ViT's weights from and to the names of timm and transformers."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from arclight.errors import UserError
from arclight_zoo.nets.as_transformers import blocks_of, first_block, layer_weights, renamed_by

if TYPE_CHECKING:
    from arclight_zoo.image.vit import ViT


GREY = (0.299, 0.587, 0.114)
"""The weights of red, green and blue in grey (ITU-R BT.601, as in Pillow)."""


def as_transformers_vit(model: "ViT") -> tuple[Any, dict[str, Tensor]]:
    from transformers import ViTConfig

    first = first_block(model)
    wanted = {
        "norm_first=true": first.norm_first,
        "final_norm=true": isinstance(model.norm, nn.LayerNorm),
        "pool=cls": model.cls_token is not None,
        "shifted_patches=false": isinstance(model.patch_embed, nn.Conv2d),
        "locality=false": first.attn.scale is None,
    }
    missing = [f"model.{option}" for option, is_so in wanted.items() if not is_so]
    patches = model.patch_embed
    if model.cls_token is None or not isinstance(patches, nn.Conv2d) or missing:
        raise UserError(
            f"transformers' ViT needs {' '.join(missing)}, which this run does not have: type "
            "format=safetensors, onnx or torch_export."
        )
    grey = patches.in_channels == 1  # transformers loads every image with three channels
    options: dict[str, Any] = {"num_labels": model.head.out_features}
    config = ViTConfig(
        image_size=model.image_size,
        patch_size=patches.kernel_size[0],
        num_channels=3 if grey else patches.in_channels,
        hidden_size=model.head.in_features,
        num_attention_heads=first.attn.n_heads,
        num_hidden_layers=len(model.transformer),
        intermediate_size=first.ff[0].out_features,
        layer_norm_eps=first.ln1.eps,
        hidden_dropout_prob=first.dropout.p,
        attention_probs_dropout_prob=first.attn.dropout,
        architectures=["ViTForImageClassification"],
        **options,
    )
    weights = {
        "vit.embeddings.cls_token": model.cls_token,
        "vit.embeddings.position_embeddings": model.pos_embed,
        **layer_weights("vit.embeddings.patch_embeddings.projection", patches),
        **layer_weights("vit.layernorm", model.norm),
        **layer_weights("classifier", model.head),
    }
    if grey:
        key = "vit.embeddings.patch_embeddings.projection.weight"
        weights[key] = weights[key] * weights[key].new_tensor(GREY).view(1, 3, 1, 1)
    for i, block in blocks_of(model):
        names = {
            "layernorm_before": block.ln1,
            "layernorm_after": block.ln2,
            "attention.output.dense": block.attn.out_proj,
            "intermediate.dense": block.ff[0],
            "output.dense": block.ff[3],
        }
        begin = f"vit.encoder.layer.{i}."
        for name, part in names.items():
            weights |= layer_weights(begin + name, part)
        for kind in ("weight", "bias"):
            three = getattr(block.attn, f"in_proj_{kind}").chunk(3)
            for name, value in zip(("query", "key", "value"), three, strict=True):
                weights[f"{begin}attention.attention.{name}.{kind}"] = value
    return config, weights


def from_timm_vit(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames the weights of a timm `VisionTransformer` to the names of `ViT`.

    They fit a `ViT` of the same sizes with `norm_first=True, final_norm=True, norm_eps=1e-6`,
    and `pool="mean"` if timm's model has `global_pool="avg", class_token=False`.

    Raises:
        UserError: the model has parts that `ViT` lacks, or pools in another way.
    """
    renamed: dict[str, Tensor] = {}
    unknown = []
    for key, value in state_dict.items():
        name = renamed_by(_TIMM_NAMES, key)
        if name is None:
            unknown.append(key)
        else:
            renamed[name] = value
    if unknown:
        raise UserError(
            f"The timm weights have {unknown[0]}"
            + (f" and {len(unknown) - 1} more" if len(unknown) > 1 else "")
            + ", which ViT does not have: use the weights of a plain VisionTransformer "
            "(vit_tiny_patch16_224, for example), or timm's own model."
        )
    if ("cls_token" in state_dict) == ("fc_norm.weight" in state_dict):
        raise UserError(
            "The timm weights pool in a way that ViT does not support (it has a class token with "
            "norm, or no class token with fc_norm): use timm's own model."
        )
    return renamed


_TIMM_NAMES = {
    r"(cls_token|pos_embed|head\.(?:weight|bias))": r"\1",
    r"patch_embed\.proj\.(weight|bias)": r"patch_embed.\1",
    r"(?:fc_)?norm\.(weight|bias)": r"norm.\1",
    r"blocks\.(\d+)\.norm([12])\.(weight|bias)": r"transformer.\1.ln\2.\3",
    r"blocks\.(\d+)\.attn\.qkv\.(weight|bias)": r"transformer.\1.attn.in_proj_\2",
    r"blocks\.(\d+)\.attn\.proj\.(weight|bias)": r"transformer.\1.attn.out_proj.\2",
    r"blocks\.(\d+)\.mlp\.fc1\.(weight|bias)": r"transformer.\1.ff.0.\2",
    r"blocks\.(\d+)\.mlp\.fc2\.(weight|bias)": r"transformer.\1.ff.3.\2",
}


def from_transformers_vit(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames the weights of a transformers `ViTForImageClassification` to the names of `ViT`.

    They fit a `ViT` of the same sizes with a class token, `norm_first=True, final_norm=True` and
    the `norm_eps` of the transformers config, usually 1e-12.

    Raises:
        UserError: the model has parts that `ViT` lacks.
    """
    renamed: dict[str, Tensor] = {}
    for key, value in state_dict.items():
        plain = key.removeprefix("vit.")
        split = re.fullmatch(r"(.*)attention\.attention\.query\.(weight|bias)", plain)
        if split:
            parts = [key.replace("query", part) for part in ("query", "key", "value")]
            value = torch.cat([state_dict[part] for part in parts])
            plain = f"{split[1]}qkv.{split[2]}"
        elif re.search(r"attention\.attention\.(key|value)\.", plain) or "pooler" in plain:
            continue
        name = renamed_by(_TRANSFORMERS_NAMES, plain)
        if name is None:
            raise UserError(
                f"The weights have {key}, which ViT does not have: use those of transformers' "
                "ViTForImageClassification."
            )
        renamed[name] = value
    return renamed


_BLOCK = r"encoder\.layer\.(\d+)\."


_TRANSFORMERS_NAMES = {
    r"embeddings\.cls_token": "cls_token",
    r"embeddings\.position_embeddings": "pos_embed",
    r"embeddings\.patch_embeddings\.projection\.(weight|bias)": r"patch_embed.\1",
    r"layernorm\.(weight|bias)": r"norm.\1",
    r"classifier\.(weight|bias)": r"head.\1",
    _BLOCK + r"layernorm_before\.(weight|bias)": r"transformer.\1.ln1.\2",
    _BLOCK + r"layernorm_after\.(weight|bias)": r"transformer.\1.ln2.\2",
    _BLOCK + r"qkv\.(weight|bias)": r"transformer.\1.attn.in_proj_\2",
    _BLOCK + r"attention\.output\.dense\.(weight|bias)": r"transformer.\1.attn.out_proj.\2",
    _BLOCK + r"intermediate\.dense\.(weight|bias)": r"transformer.\1.ff.0.\2",
    _BLOCK + r"output\.dense\.(weight|bias)": r"transformer.\1.ff.3.\2",
}
