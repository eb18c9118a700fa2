"""Continue texts token by token."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from arclight.models.sharded import all_ended


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


@torch.no_grad()
def continued(
    model: nn.Module,
    predict: Callable[[Tensor, int], Tensor],
    tokens: Tensor,
    length: int,
    context: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    stop: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Continues `(batch, prompt)` by up to `length` tokens; returns prompt and continuation.

    When the context is full, it continues from its second half.

    Args:
        model: set to evaluation mode.
        predict: maps new tokens `(batch, new)` and their position to logits of the next token
            `(batch, vocab)`. It caches what it has seen, and begins anew at position 0.
        tokens: the prompt.
        length: number of tokens.
        context: maximum number of tokens that the model takes.
        temperature: of the softmax; 0: greedy decoding.
        top_k: sample from the k likeliest tokens; None: from all.
        stop: the end token; it is repeated until all sequences have ended.
        generator: for sampling; None: torch's default.
    """
    model.eval()
    done = torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)
    new, position = tokens, 0
    for made in range(length):
        if not made or position + new.shape[1] > context:
            position = 0
            new = tokens[:, -(context if tokens.shape[1] < context else context // 2 + 1) :]
        logits = predict(new, position)
        position += new.shape[1]
        new = pick(logits, temperature, top_k, generator)
        if stop is not None:
            new = torch.where(done[:, None], stop, new)
            done |= new[:, 0] == stop
        tokens = torch.cat([tokens, new], dim=1)
        if stop is not None and all_ended(done, model):
            break
    return tokens
