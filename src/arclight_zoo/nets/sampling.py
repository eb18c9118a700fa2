"""Draw the next token."""

import math

import torch
from torch import Tensor


def pick(
    logits: Tensor, temperature: float, top_k: int | None, generator: torch.Generator | None
) -> Tensor:
    """Samples a token `(batch, 1)` from each row of logits `(batch, vocab)`."""
    if temperature == 0:
        return logits.argmax(-1, keepdim=True)
    logits = logits.float() / temperature
    if top_k is not None and top_k < logits.shape[-1]:
        lowest = logits.topk(top_k).values[:, -1:]
        logits = logits.masked_fill(logits < lowest, -math.inf)
    return torch.multinomial(logits.softmax(-1), 1, generator=generator)
