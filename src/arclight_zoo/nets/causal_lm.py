"""Wrap any decoder of transformers as a language model."""

from typing import Any

import torch
from torch import Tensor, nn

from arclight.models.sharded import all_ended
from arclight_zoo.nets.masks import require_mask_names, skip_mask_sync


class CausalLM(nn.Module):
    """A causal language model of transformers.

    Args:
        net: a transformers model such as `LlamaForCausalLM`.
    """

    def __init__(self, net: Any) -> None:
        super().__init__()
        require_mask_names()
        self.net = net

    @skip_mask_sync
    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(batch, length)` to logits of the next tokens `(batch, length, vocab)`."""
        logits: Tensor = self.net(input_ids=tokens, use_cache=False).logits
        return logits

    @torch.no_grad()
    def generate(
        self,
        tokens: Tensor,
        length: int,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        stop: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Continues `(batch, prompt)` by up to `length` tokens, as `GPT` does.

        When the context is full, it continues from its second half, since the model has not learnt
        later positions.
        """
        from transformers import DynamicCache

        from arclight_zoo.nets.sampling import pick

        self.eval()
        done = torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)
        # some models, such as Bloom, have no maximum length
        known = getattr(self.net.config.get_text_config(), "max_position_embeddings", None)
        context: int = known or tokens.shape[1] + length
        seen: Any = None
        new, position = tokens[:, -context:], 0
        for _ in range(length):
            if seen is None or position + new.shape[1] > context:
                seen, position = DynamicCache(config=self.net.config), 0
                new = tokens[:, -(context if tokens.shape[1] < context else context // 2 + 1) :]
            found = self.net(input_ids=new, past_key_values=seen, use_cache=True)
            position += new.shape[1]
            new = pick(found.logits[:, -1], temperature, top_k, generator)
            if stop is not None:
                new = torch.where(done[:, None], stop, new)
                done |= new[:, 0] == stop
            tokens = torch.cat([tokens, new], dim=1)
            if stop is not None and all_ended(done, self):
                break
        return tokens
