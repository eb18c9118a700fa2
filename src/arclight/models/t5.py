"""T5: the door to transformers' encoder and decoder, from one text to another."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from arclight.models.bert import check_vocabulary
from arclight.models.checks import check_choice
from arclight.models.pretrained import load_pretrained
from arclight.models.sharded import all_ended
from arclight.ranges import Count, Share


class EncoderDecoder(nn.Module):
    """Any model of transformers that goes from one text to another.

    Args:
        net: a transformers model such as `T5ForConditionalGeneration`.
    """

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, source: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """Logits of each token of the target `(batch, target length, vocab)`.

        Args:
            source: tokens `(batch, length)`.
            mask: true where they are the text's own, `(batch, length)`.
            target: tokens `(batch, target length)`, filled up with -100; a place's logits depend on
                those before it alone.
        """
        logits: Tensor = self.net(
            input_ids=source,
            attention_mask=_of_keys(mask),
            decoder_input_ids=self._shifted(target),
            use_cache=False,
        ).logits
        return logits

    def _shifted(self, target: Tensor) -> Tensor:
        """What the decoder has seen at each place: the start, and the tokens before."""
        if hasattr(self.net, "prepare_decoder_input_ids_from_labels"):
            theirs: Tensor = self.net.prepare_decoder_input_ids_from_labels(target)
            return theirs
        config = self.net.config  # of M2M100 or Blenderbot, which shift in `forward` alone
        first = torch.full_like(target[:, :1], config.decoder_start_token_id)
        shifted = torch.cat([first, target[:, :-1]], dim=1)
        return shifted.masked_fill(shifted == -100, config.pad_token_id)

    @torch.no_grad()
    def generate(self, source: Tensor, mask: Tensor, length: int, stop: int) -> Tensor:
        """The likeliest next token each time: `(batch, up to length)`.

        Args:
            source: tokens `(batch, source length)`.
            mask: true where they are the text's own.
            length: the most tokens to make.
            stop: a token after which a sequence only repeats it; all stopped ends.
        """
        from transformers import DynamicCache, EncoderDecoderCache

        self.eval()
        keys = _of_keys(mask)
        encoded = self.net.get_encoder()(input_ids=source, attention_mask=keys).last_hidden_state
        seen: Any = EncoderDecoderCache(DynamicCache(), DynamicCache())
        new = source.new_full((len(source), 1), self.net.config.decoder_start_token_id)
        done = torch.zeros_like(new, dtype=torch.bool)
        made = [new[:, :0]]
        for _ in range(length):
            logits = self.net(
                encoder_outputs=(encoded,),
                attention_mask=keys,
                decoder_input_ids=new,
                past_key_values=seen,
                use_cache=True,
            ).logits
            new = torch.where(done, stop, logits[:, -1:].argmax(-1))
            made.append(new)
            done |= new == stop
            if all_ended(done, self):
                break
        return torch.cat(made, dim=1)


class T5(EncoderDecoder):
    """Encoder-decoder with relative positions, pre-norm blocks and RMS norm (Raffel et al., 2020).

    Args:
        vocab_size: how many tokens there are.
        pad: the token that fills up shorter texts, and that the decoder begins with.
        d_model: width of a token.
        n_heads: attention heads.
        n_layers: blocks of the encoder.
        n_decoder_layers: blocks of the decoder; None: `n_layers`.
        d_kv: width of a head; None: `d_model / n_heads`.
        d_ff: width of the feed-forward layers; None: 4 * `d_model`.
        dropout: of embeddings, attention weights, feed-forward layers and branches.
        activation: "relu", as published first, or "gated-gelu" of version 1.1 (Shazeer, 2020).
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
            # what stops a text, `generate` is told
            options |= {"pad_token_id": pad, "decoder_start_token_id": pad, "eos_token_id": None}
            config = T5Config(
                vocab_size=vocab_size,
                d_model=d_model,
                num_heads=n_heads,
                num_layers=n_layers,
                num_decoder_layers=n_decoder_layers,
                d_kv=d_kv or d_model // n_heads,
                d_ff=d_ff or 4 * d_model,
                feed_forward_proj=activation,
                **options,
            )
            net = T5ForConditionalGeneration(config)
        super().__init__(net)
        if activation_checkpointing:
            net.activation_checkpointing_enable({"use_reentrant": False})


def _of_keys(mask: Tensor) -> Tensor:
    """With the axes of heads and queries: of two, the net would ask whether all are true."""
    return mask[:, None, None]
