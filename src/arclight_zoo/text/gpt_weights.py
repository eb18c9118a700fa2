"""Convert GPT's weights from and to the names of transformers' GPT-2."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from arclight.errors import UserError
from arclight_zoo.nets.as_transformers import (
    bias_or_zeros,
    blocks_of,
    first_block,
    layer_weights,
    renamed_by,
)

if TYPE_CHECKING:
    from arclight_zoo.text.gpt import GPT


def as_transformers_gpt2(model: "GPT") -> tuple[Any, dict[str, Tensor]]:
    from transformers import GPT2Config

    first = first_block(model)
    if not first.norm_first:
        raise UserError(
            "transformers' GPT-2 has pre-norm blocks, but this run has model.norm_first=false: "
            "type format=safetensors, onnx or torch_export."
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
    for i, block in blocks_of(model):
        names = {
            "ln_1": block.ln1,
            "ln_2": block.ln2,
            "attn.c_proj": block.attn.out_proj,
            "mlp.c_fc": block.ff[0],
            "mlp.c_proj": block.ff[3],
        }
        begin = f"transformer.h.{i}."
        for name, part in names.items():
            weights |= layer_weights(begin + name, part, transposed=isinstance(part, nn.Linear))
        weights[f"{begin}attn.c_attn.weight"] = block.attn.in_proj_weight.T
        weights[f"{begin}attn.c_attn.bias"] = bias_or_zeros(
            block.attn.in_proj_weight, block.attn.in_proj_bias
        )
    return config, weights | layer_weights("transformer.ln_f", model.norm)


def from_transformers_gpt2(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames the weights of a transformers `GPT2LMHeadModel` to the names of `GPT`.

    Raises:
        UserError: the model has parts that `GPT` lacks.
    """
    renamed: dict[str, Tensor] = {}
    for key, value in state_dict.items():
        if re.search(r"\.attn\.(bias|masked_bias)$", key):  # masks in old files
            continue
        name = renamed_by(_GPT2_NAMES, key.removeprefix("transformer."))
        if name is None:
            raise UserError(
                f"The weights have {key}, which GPT does not have: use those of transformers' "
                "GPT2LMHeadModel."
            )
        if name == "pos_embed":
            value = value[None]
        elif re.search(r"(c_attn|c_proj|c_fc)\.weight$", key):  # stored transposed
            value = value.T
        renamed[name] = value.contiguous()
    renamed.setdefault("head.weight", renamed["token_embed.weight"])
    return renamed


_GPT2_NAMES = {
    r"wte\.weight": "token_embed.weight",
    r"wpe\.weight": "pos_embed",
    r"lm_head\.weight": "head.weight",
    r"ln_f\.(weight|bias)": r"norm.\1",
    r"h\.(\d+)\.ln_([12])\.(weight|bias)": r"transformer.\1.ln\2.\3",
    r"h\.(\d+)\.attn\.c_attn\.(weight|bias)": r"transformer.\1.attn.in_proj_\2",
    r"h\.(\d+)\.attn\.c_proj\.(weight|bias)": r"transformer.\1.attn.out_proj.\2",
    r"h\.(\d+)\.mlp\.c_fc\.(weight|bias)": r"transformer.\1.ff.0.\2",
    r"h\.(\d+)\.mlp\.c_proj\.(weight|bias)": r"transformer.\1.ff.3.\2",
}
