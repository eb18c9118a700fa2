"""GPT: a stack of causal transformer blocks that says what comes next."""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from arclight.errors import UserError
from arclight.models.checks import check_choice
from arclight.models.sharded import all_ended
from arclight.ranges import Count, Positive, Share
from arclight_zoo.nets.sampling import pick
from arclight_zoo.nets.transformer import KeyValues, TransformerBlock


class GPT(nn.Module):
    """Decoder-only transformer (Radford et al., 2018 and 2019).

    Learned positions, a causal mask, and a head that shares the token embedding's weights. The
    defaults are GPT-2's: pre-norm blocks with a final norm. `norm_first=False` is GPT-1's.

    Args:
        vocab_size: how many tokens there are.
        context: the most tokens of one sequence.
        d_model: width of a token.
        n_heads: attention heads; divides `d_model`.
        n_layers: transformer blocks.
        d_ff: width of the feed-forward layers; None: 4 * `d_model`.
        dropout: of the embeddings, of attention weights, of feed-forward layers and of branches.
        norm_first: pre-norm blocks, and a norm before the head.
        norm_eps: added to the variance in layer norm.
        gelu: "tanh" is the approximation that the published weights want, "none" the exact one.
        bias: whether linear layers and norms have one; published: yes; nanoGPT: no.
        activation_checkpointing: recompute each block in the backward pass: less memory, about a
            third more time (Chen et al., 2016).

    Raises:
        UserError: sizes that do not divide, or (in `forward`) a sequence that is too long.
    """

    def __init__(
        self,
        vocab_size: Count,
        context: Count,
        d_model: Count,
        n_heads: Count,
        n_layers: Count,
        *,
        d_ff: Count | None = None,
        dropout: Share = 0.1,
        norm_first: bool = True,
        norm_eps: Positive = 1e-5,
        gelu: Literal["none", "tanh"] = "tanh",
        bias: bool = True,
        activation_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        check_choice("gelu", gelu, "none", "tanh")
        self.context = context
        self.activation_checkpointing = activation_checkpointing
        self.token_embed = nn.Embedding(vocab_size, d_model)
        self.pos_embed = nn.Parameter(torch.zeros(1, context, d_model))
        self.dropout = nn.Dropout(dropout)
        self.transformer = nn.ModuleList(
            TransformerBlock(
                d_model,
                n_heads,
                4 * d_model if d_ff is None else d_ff,
                dropout,
                norm_first=norm_first,
                norm_eps=norm_eps,
                gelu=gelu,
                bias=bias,
            )
            for _ in range(n_layers)
        )
        self.norm = nn.LayerNorm(d_model, norm_eps, bias=bias) if norm_first else nn.Identity()
        self.head = nn.Linear(d_model, vocab_size, bias=False)
        self.head.weight = self.token_embed.weight
        self._init(n_layers)

    def _init(self, n_layers: int) -> None:
        """GPT-2's: deviation 0.02, and less where residual branches end, of which there are two."""
        for name, parameter in self.named_parameters():
            if parameter.ndim < 2:
                continue
            ends_branch = name.endswith(("attn.out_proj.weight", "ff.3.weight"))
            nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * n_layers) if ends_branch else 0.02)
        for name, parameter in self.named_parameters():
            if name.endswith(("ff.0.bias", "ff.3.bias")):
                nn.init.zeros_(parameter)

    def layers(self) -> list[nn.Module]:
        """The blocks, from input to output."""
        return list(self.transformer)

    def get_classifier(self) -> nn.Module:
        """The head."""
        return self.head

    def adapt_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights of transformers' GPT-2 under this model's names; others as they are."""
        from arclight_zoo.text.gpt_weights import from_transformers_gpt2

        known = any(key.endswith("wte.weight") for key in weights)
        return from_transformers_gpt2(weights) if known else weights

    def to_transformers(self) -> tuple[Any, dict[str, Tensor]]:
        """A config of transformers, and the weights as its `from_pretrained` reads them."""
        from arclight_zoo.text.gpt_weights import as_transformers_gpt2

        return as_transformers_gpt2(self)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(batch, length)` to logits of the next at each place `(batch, length, vocab)`.

        A place's logits depend on its token and those before it alone.
        """
        logits: Tensor = self.head(self._features(tokens, None, 0))
        return logits

    def _features(self, tokens: Tensor, seen: list[KeyValues] | None, position: int) -> Tensor:
        end = position + tokens.shape[1]
        if end > self.context:
            raise UserError(
                f"A sequence of {end} tokens is longer than the model's context of {self.context}: "
                f"type data.context={self.context}, or train with a longer one."
            )
        x = self.dropout(self.token_embed(tokens) + self.pos_embed[:, position:end])
        for i, block in enumerate(self.transformer):
            if seen is not None:
                x = block(x, causal=True, seen=seen[i])
            elif self.activation_checkpointing and self.training:
                x = checkpoint(block, x, causal=True, use_reentrant=False)
            else:
                x = block(x, causal=True)
        out: Tensor = self.norm(x)
        return out

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
        """Continues `(batch, prompt)` by up to `length` tokens; returns prompt and continuation.

        Each layer keeps the keys and values of what it has seen, so that a token costs one step of
        one token. A context that is full goes on from its second half.

        Args:
            temperature: below 1 prefers the likely; 0 takes the likeliest.
            top_k: draw among so many of the likeliest; None: among all.
            stop: a token after which a sequence only repeats it; all stopped ends.
            generator: of the draws; None: torch's own.
        """
        self.eval()
        done = torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)
        seen: list[KeyValues] = []
        new, position = tokens[:, -self.context :], 0
        for _ in range(length):
            if not seen or position + new.shape[1] > self.context:
                seen, position = [KeyValues() for _ in self.transformer], 0
                keep = self.context if tokens.shape[1] < self.context else self.context // 2 + 1
                new = tokens[:, -keep:]
            logits = self.head(self._features(new, seen, position)[:, -1])
            position += new.shape[1]
            new = pick(logits, temperature, top_k, generator)
            if stop is not None:
                new = torch.where(done[:, None], stop, new)
                done |= new[:, 0] == stop
            tokens = torch.cat([tokens, new], dim=1)
            if stop is not None and all_ended(done, self):
                break
        return tokens
