"""The project's own models as transformers has them: its config, and weights under its names."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from arclight.errors import UserError
from arclight.models.gpt import GPT
from arclight.models.transformer import TransformerBlock
from arclight.models.vit import ViT


def as_transformers(model: nn.Module) -> tuple[Any, dict[str, Tensor]]:
    """A config of transformers, and the weights as its `from_pretrained` reads them.

    Raises:
        UserError: transformers has no such model.
    """
    if isinstance(model, GPT):
        return _as_gpt2(model)
    if isinstance(model, ViT):
        return _as_vit(model)
    raise UserError(
        f"transformers and timm have no model like {type(model).__name__}: type "
        "format=safetensors, onnx or torch_export."
    )


def _as_gpt2(model: GPT) -> tuple[Any, dict[str, Tensor]]:
    from transformers import GPT2Config

    first = _first(model)
    if not first.norm_first:
        raise UserError(
            "transformers' GPT-2 normalises first, and this run's model.norm_first=false: type "
            "format=safetensors, onnx or torch_export."
        )
    vocab_size, d_model = model.token_embed.weight.shape
    config = GPT2Config(
        vocab_size=vocab_size,
        n_positions=model.context,
        n_embd=d_model,
        n_layer=len(model.transformer),
        n_head=first.attn.n_heads,
        n_inner=first.ff[0].out_features,
        activation_function="gelu_new" if first.ff[1].approximate == "tanh" else "gelu",
        layer_norm_epsilon=first.ln1.eps,
        bos_token_id=None,
        eos_token_id=None,
        architectures=["GPT2LMHeadModel"],
    )
    weights = {
        "transformer.wte.weight": model.token_embed.weight,
        "transformer.wpe.weight": model.pos_embed[0],
    }
    for i, block in _blocks(model):
        names = {
            "ln_1": block.ln1,
            "ln_2": block.ln2,
            "attn.c_proj": block.attn.out_proj,
            "mlp.c_fc": block.ff[0],
            "mlp.c_proj": block.ff[3],
        }
        begin = f"transformer.h.{i}."
        for name, part in names.items():
            weights |= _of(begin + name, part, transposed=isinstance(part, nn.Linear))
        weights[f"{begin}attn.c_attn.weight"] = block.attn.in_proj_weight.T
        weights[f"{begin}attn.c_attn.bias"] = _bias(
            block.attn.in_proj_weight, block.attn.in_proj_bias
        )
    return config, weights | _of("transformer.ln_f", model.norm)


def _as_vit(model: ViT) -> tuple[Any, dict[str, Tensor]]:
    from transformers import ViTConfig

    first = _first(model)
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
            f"transformers' ViT is one of {' '.join(missing)}, which this run's is not: type "
            "format=safetensors, onnx or torch_export."
        )
    options: dict[str, Any] = {"num_labels": model.head.out_features}
    config = ViTConfig(
        image_size=model.image_size,
        patch_size=patches.kernel_size[0],
        num_channels=patches.in_channels,
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
        **_of("vit.embeddings.patch_embeddings.projection", patches),
        **_of("vit.layernorm", model.norm),
        **_of("classifier", model.head),
    }
    for i, block in _blocks(model):
        names = {
            "layernorm_before": block.ln1,
            "layernorm_after": block.ln2,
            "attention.output.dense": block.attn.out_proj,
            "intermediate.dense": block.ff[0],
            "output.dense": block.ff[3],
        }
        begin = f"vit.encoder.layer.{i}."
        for name, part in names.items():
            weights |= _of(begin + name, part)
        for kind in ("weight", "bias"):
            three = getattr(block.attn, f"in_proj_{kind}").chunk(3)
            for name, value in zip(("query", "key", "value"), three, strict=True):
                weights[f"{begin}attention.attention.{name}.{kind}"] = value
    return config, weights


def _first(model: Any) -> Any:
    return model.transformer[0]


def _blocks(model: GPT | ViT) -> Iterator[tuple[int, Any]]:
    for i, block in enumerate(model.transformer):
        assert isinstance(block, TransformerBlock)
        yield i, block


def _of(name: str, part: Any, transposed: bool = False) -> dict[str, Tensor]:
    """GPT-2 stores its linear layers transposed."""
    weight = part.weight.T if transposed else part.weight
    return {f"{name}.weight": weight, f"{name}.bias": _bias(part.weight, part.bias)}


def _bias(weight: Tensor, bias: Tensor | None) -> Tensor:
    """Zeros where the layer has none, which transformers' models cannot be without."""
    return weight.new_zeros(weight.shape[0]) if bias is None else bias
