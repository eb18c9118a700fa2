"""Llama, from transformers."""

from typing import Any

from arclight.errors import UserError
from arclight.models.checks import nearest_divisor
from arclight.models.pretrained import load_pretrained
from arclight.ranges import Count, Positive
from arclight_zoo.nets.causal_lm import CausalLM
from arclight_zoo.nets.fitting import check_heads


class Llama(CausalLM):
    """Decoder with rotary positions, RMS norm and gated feed-forward layers (Touvron et al., 2023).

    With `n_kv_heads < n_heads` it has grouped-query attention (Ainslie et al., 2023).

    Args:
        vocab_size: size of the vocabulary.
        context: maximum number of tokens per sequence.
        d_model: width of a token.
        n_heads: attention heads; divides `d_model`.
        n_layers: transformer blocks.
        n_kv_heads: heads of keys and values; divides `n_heads`; None: `n_heads`.
        d_ff: width of the feed-forward layers; None: 8/3 of `d_model`, rounded up to a multiple
            of 32.
        rope_theta: base of the rotary positions.
        tie: the head shares the token embedding's weights.
        pretrained: a folder or hub id of published weights, which bring their own sizes; None:
            random weights.
        activation_checkpointing: recompute each block in the backward pass.

    Raises:
        UserError: `pretrained` cannot be loaded, or a size does not divide another.
    """

    def __init__(
        self,
        vocab_size: Count,
        context: Count,
        d_model: Count,
        n_heads: Count,
        n_layers: Count,
        *,
        n_kv_heads: Count | None = None,
        d_ff: Count | None = None,
        rope_theta: Positive = 10000.0,
        tie: bool = False,
        pretrained: str | None = None,
        activation_checkpointing: bool = False,
    ) -> None:
        from transformers import LlamaConfig, LlamaForCausalLM

        if pretrained is not None:
            net: Any = load_pretrained(LlamaForCausalLM, pretrained)
            if net.config.vocab_size < vocab_size:
                net.resize_token_embeddings(vocab_size)
        else:
            check_heads("", d_model, n_heads)
            _check_head_size(d_model, n_heads, n_kv_heads or n_heads)
            net = LlamaForCausalLM(
                LlamaConfig(
                    vocab_size=vocab_size,
                    max_position_embeddings=context,
                    hidden_size=d_model,
                    num_attention_heads=n_heads,
                    num_key_value_heads=n_kv_heads or n_heads,
                    num_hidden_layers=n_layers,
                    intermediate_size=d_ff or -(-8 * d_model // 3 // 32) * 32,
                    rope_parameters={"rope_type": "default", "rope_theta": rope_theta},
                    tie_word_embeddings=tie,
                    bos_token_id=None,
                    eos_token_id=None,
                    pad_token_id=None,
                )
            )
        super().__init__(net)
        if activation_checkpointing:
            net.activation_checkpointing_enable()


def _check_head_size(d_model: int, n_heads: int, n_kv_heads: int) -> None:
    """Raises `UserError` unless `n_kv_heads` divides `n_heads` and the head size is even."""
    if n_heads % n_kv_heads:
        raise UserError(
            f"model.n_kv_heads={n_kv_heads} does not divide model.n_heads={n_heads}: type "
            f"model.n_kv_heads={nearest_divisor(n_heads, n_kv_heads)}."
        )
    if d_model // n_heads % 2:
        raise UserError(
            f"model.d_model={d_model} with model.n_heads={n_heads} gives heads of size "
            f"{d_model // n_heads}, but rotary positions need an even size: type "
            f"model.d_model={d_model + n_heads}, or another number of heads."
        )
