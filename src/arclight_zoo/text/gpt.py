"""GPT: a decoder-only language model."""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from arclight.errors import UserError
from arclight.models.checks import check_choice
from arclight.ranges import Count, Positive, Share
from arclight_zoo.nets.sampling import continued
from arclight_zoo.nets.transformer import KeyValues, TransformerBlock


class GPT(nn.Module):
    """Decoder-only transformer (Radford et al., 2018 and 2019).

    It has learned positions, a causal mask, and a head that shares the token embedding's weights.
    The defaults are those of GPT-2: pre-norm blocks with a final norm. GPT-1 has
    `norm_first=False`.

    Args:
        vocab_size: size of the vocabulary.
        context: maximum number of tokens per sequence.
        d_model: width of a token.
        n_heads: attention heads; divides `d_model`.
        n_layers: transformer blocks.
        d_ff: width of the feed-forward layers; None: 4 * `d_model`.
        dropout: of the embeddings, of attention weights, of feed-forward layers and of branches.
        norm_first: pre-norm blocks, and a norm before the head.
        norm_eps: added to the variance in layer norm.
        gelu: "tanh" is the approximation of the published weights, "none" is exact.
        bias: whether linear layers and norms have one; GPT-2 has, nanoGPT has not.
        activation_checkpointing: recompute each block in the backward pass; saves memory for about
            a third more time (Chen et al., 2016).

    Raises:
        UserError: a size does not divide another, or (in `forward`) a sequence is too long.
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
        """GPT-2's initialisation: std 0.02, and less for the last layer of residual branches."""
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
        """Renames weights of transformers' GPT-2 to this model's names; keeps others."""
        from arclight_zoo.text.gpt_weights import from_transformers_gpt2

        known = any(key.endswith("wte.weight") for key in weights)
        return from_transformers_gpt2(weights) if known else weights

    def to_transformers(self) -> tuple[Any, dict[str, Tensor]]:
        """A config of transformers, and the weights under its names, for `from_pretrained`."""
        from arclight_zoo.text.gpt_weights import as_transformers_gpt2

        return as_transformers_gpt2(self)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `(batch, length)` to logits of the next tokens `(batch, length, vocab)`.

        Logits depend only on the token at their position and earlier ones.
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

        Each layer caches keys and values, so only the new token is computed. When the context is
        full, it continues from its second half.

        Args:
            temperature: of the softmax; 0: greedy decoding.
            top_k: sample from the k likeliest tokens; None: from all.
            stop: the end token; it is repeated until all sequences have ended.
            generator: for sampling; None: torch's default.
        """
        seen: list[KeyValues] = []

        def predict(new: Tensor, position: int) -> Tensor:
            if not position:
                seen[:] = [KeyValues() for _ in self.transformer]
            logits: Tensor = self.head(self._features(new, seen, position)[:, -1])
            return logits

        limits = length, self.context
        return continued(self, predict, tokens, *limits, temperature, top_k, stop, generator)
