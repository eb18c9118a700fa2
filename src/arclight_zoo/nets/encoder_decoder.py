"""Wrap any encoder-decoder of transformers as a sequence-to-sequence model."""

from typing import Any

import torch
from torch import Tensor, nn

from arclight.models.sharded import all_ended


class EncoderDecoder(nn.Module):
    """A sequence-to-sequence model of transformers.

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
            mask: False for padding, `(batch, length)`.
            target: tokens `(batch, target length)`, padded with -100; logits depend only on earlier
                target tokens.
        """
        logits: Tensor = self.net(
            input_ids=source,
            attention_mask=_of_keys(mask),
            decoder_input_ids=self._shifted(target),
            use_cache=False,
        ).logits
        return logits

    def _shifted(self, target: Tensor) -> Tensor:
        """The decoder's input: the start token, and the target shifted by one."""
        if hasattr(self.net, "prepare_decoder_input_ids_from_labels"):
            theirs: Tensor = self.net.prepare_decoder_input_ids_from_labels(target)
            return theirs
        config = self.net.config  # M2M100 and Blenderbot only shift in `forward`
        first = torch.full_like(target[:, :1], config.decoder_start_token_id)
        shifted = torch.cat([first, target[:, :-1]], dim=1)
        return shifted.masked_fill(shifted == -100, config.pad_token_id)

    @torch.no_grad()
    def generate(self, source: Tensor, mask: Tensor, length: int, stop: int) -> Tensor:
        """Greedy decoding: `(batch, up to length)`.

        Args:
            source: tokens `(batch, source length)`.
            mask: False for padding, `(batch, source length)`.
            length: maximum number of tokens to generate.
            stop: the end token; it is repeated until all sequences have ended.
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


def _of_keys(mask: Tensor) -> Tensor:
    """Adds the axes of heads and queries: a mask with two axes would cause a host sync."""
    return mask[:, None, None]
