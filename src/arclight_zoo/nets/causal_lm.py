"""Wrap any decoder of transformers as a language model."""

from typing import Any

import torch
from torch import Tensor, nn

from arclight_zoo.nets.masks import require_mask_names, skip_mask_sync
from arclight_zoo.nets.sampling import continued


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

        # some models, such as Bloom, have no maximum length
        known = getattr(self.net.config.get_text_config(), "max_position_embeddings", None)
        context: int = known or tokens.shape[1] + length
        seen: Any = None

        def predict(new: Tensor, position: int) -> Tensor:
            nonlocal seen
            if not position:
                seen = DynamicCache(config=self.net.config)
            found = self.net(input_ids=new, past_key_values=seen, use_cache=True)
            logits: Tensor = found.logits[:, -1]
            return logits

        return continued(
            self, predict, tokens, length, context, temperature, top_k, stop, generator
        )
