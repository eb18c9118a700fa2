"""T5, from transformers."""

from typing import Any, Literal

from arclight.models.checks import check_choice
from arclight.models.pretrained import load_pretrained
from arclight.ranges import Count, Share
from arclight_zoo.nets.encoder_decoder import EncoderDecoder
from arclight_zoo.nets.fitting import check_vocabulary


class T5(EncoderDecoder):
    """Encoder-decoder with relative positions, pre-norm blocks and RMS norm (Raffel et al., 2020).

    Args:
        vocab_size: size of the vocabulary.
        pad: the padding token, and the decoder's start token.
        d_model: width of a token.
        n_heads: attention heads.
        n_layers: blocks of the encoder.
        n_decoder_layers: blocks of the decoder; None: `n_layers`.
        d_kv: width of a head; None: `d_model / n_heads`.
        d_ff: width of the feed-forward layers; None: 4 * `d_model`.
        dropout: of embeddings, attention weights, feed-forward layers and branches.
        activation: "relu" of the first version, or "gated-gelu" of version 1.1 (Shazeer, 2020).
        pretrained: a folder or hub id of published weights, which bring their own sizes; None:
            random weights.
        activation_checkpointing: recompute each block in the backward pass.

    Raises:
        UserError: `pretrained` cannot be loaded or does not fit.
    """

    def __init__(
        self,
        vocab_size: Count,
        pad: int,
        d_model: Count,
        n_heads: Count,
        n_layers: Count,
        *,
        n_decoder_layers: Count | None = None,
        d_kv: Count | None = None,
        d_ff: Count | None = None,
        dropout: Share = 0.1,
        activation: Literal["relu", "gated-gelu"] = "relu",
        pretrained: str | None = None,
        activation_checkpointing: bool = False,
    ) -> None:
        from transformers import T5Config, T5ForConditionalGeneration

        check_choice("activation", activation, "relu", "gated-gelu")
        options: dict[str, Any] = {"dropout_rate": dropout, "attn_implementation": "sdpa"}
        if pretrained is not None:
            net: Any = load_pretrained(T5ForConditionalGeneration, pretrained, **options)
            check_vocabulary(pretrained, vocab_size, net.config.vocab_size)
        else:
            # `generate` takes the end token as an argument
            options |= {"pad_token_id": pad, "decoder_start_token_id": pad, "eos_token_id": None}
            config = T5Config(
                vocab_size=vocab_size,
                d_model=d_model,
                num_heads=n_heads,
                num_layers=n_layers,
                num_decoder_layers=n_decoder_layers,
                d_kv=d_kv or max(1, d_model // n_heads),
                d_ff=d_ff or 4 * d_model,
                feed_forward_proj=activation,
                **options,
            )
            net = T5ForConditionalGeneration(config)
        super().__init__(net)
        if activation_checkpointing:
            net.activation_checkpointing_enable({"use_reentrant": False})
