"""The transformer block of ViT and GPT."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arclight.errors import UserError
from arclight.models.checks import check_probability, nearest_divisor


class DropPath(nn.Module):
    """Stochastic depth (Huang et al., 2016): in training, zeroes the branch of random samples.

    The other samples are divided by the probability of being kept, so the mean stays the same.
    """

    keep: Tensor

    def __init__(self, p: float = 0.0) -> None:
        super().__init__()
        self.p = p
        self.drops = p > 0
        if self.drops:
            # A tensor, since blocks that differ in a Python number would be compiled separately.
            # It is not saved, and does not exist for p=0, so that DDP need not broadcast it.
            self.register_buffer("keep", torch.tensor(1.0 - p), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, ...)` to the same shape; one draw for each sample."""
        if not self.training or not self.drops:
            return x
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        kept = torch.rand(shape, device=x.device) < self.keep
        return x * (kept / self.keep).to(x.dtype)

    def extra_repr(self) -> str:
        return f"p={self.p:g}"


class KeyValues:
    """The key-value cache of an attention layer, for generation."""

    def __init__(self) -> None:
        self._seen: tuple[Tensor, Tensor] | None = None

    def extended(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Appends `(batch, n_heads, new tokens, d_head)`, and returns all keys and values."""
        if self._seen is not None:
            keys = torch.cat([self._seen[0], keys], dim=2)
            values = torch.cat([self._seen[1], values], dim=2)
        self._seen = keys, values
        return self._seen


class SelfAttention(nn.Module):
    """Multi-head self-attention (Vaswani et al., 2017), batch first, with fused kernels.

    Parameter names, shapes, initialisation and masks are those of `nn.MultiheadAttention`.

    Args:
        d_model: width of a token.
        n_heads: attention heads; divides `d_model`.
        dropout: of attention weights.
        bias: whether the projections have one.
        locality: locality self-attention (Lee et al., 2021), for small data sets of images: each
            head learns the temperature of its softmax, and tokens do not attend to themselves.

    Raises:
        UserError: `n_heads` does not divide `d_model`.
    """

    low_rank_weights = ("in_proj_weight",)

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        dropout: float = 0.0,
        *,
        bias: bool = True,
        locality: bool = False,
    ) -> None:
        super().__init__()
        if n_heads < 1 or d_model % n_heads:
            raise UserError(
                f"model.n_heads={n_heads} does not divide model.d_model={d_model}: "
                f"type model.n_heads={nearest_divisor(d_model, n_heads)}, for example."
            )
        self.n_heads = n_heads
        self.dropout = dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * d_model, d_model))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * d_model)) if bias else None
        self.out_proj = nn.Linear(d_model, d_model, bias=bias)
        # In the order of nn.MultiheadAttention, so that a seed gives the same weights.
        nn.init.xavier_uniform_(self.in_proj_weight)
        if bias:
            nn.init.zeros_(self.out_proj.bias)
        self.scale: nn.Parameter | None = None  # learnt scale of each head's scores
        if locality:
            self.scale = nn.Parameter(torch.full((n_heads,), (d_model // n_heads) ** -0.5))

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        *,
        causal: bool = False,
        seen: KeyValues | None = None,
    ) -> Tensor:
        """`(batch, tokens, d_model)` to the same shape; see `TransformerBlock.forward`."""
        batch, tokens, d_model = x.shape
        q, k, v = self._projected(x)
        if self.scale is not None:
            q = q * self.scale[:, None, None]
            mask = self._others(tokens, mask)
        if mask is not None:
            # True hides a token in nn.MultiheadAttention, but shows it in the kernel
            mask = ~mask if mask.dtype == torch.bool else mask.to(q.dtype)
            if mask.ndim == 3:
                mask = mask.view(batch, self.n_heads, tokens, tokens)
        if seen is not None:
            k, v = seen.extended(k, v)
            causal = causal and k.shape[2] == tokens  # a single new token sees all earlier ones
        out = F.scaled_dot_product_attention(
            q,
            k,
            v,
            mask,
            self.dropout if self.training else 0.0,
            is_causal=causal,
            scale=None if self.scale is None else 1.0,
        )
        out = out.transpose(1, 2).reshape(batch, tokens, d_model)
        projected: Tensor = self.out_proj(out)
        return projected

    def _projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each `(batch, n_heads, tokens, d_head)`."""
        batch, tokens, _ = x.shape
        # Split before transposing: the gradients are then joined by one copy, not two.
        q, k, v = (
            part.view(batch, tokens, self.n_heads, -1).transpose(1, 2)
            for part in F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        )
        return q, k, v

    def weights(self, x: Tensor) -> Tensor:
        """The attention weights without mask and dropout, for visualisation.

        Args:
            x: `(batch, tokens, d_model)`.

        Returns:
            `(batch, n_heads, tokens, tokens)`; rows sum to 1.
        """
        q, k, _ = self._projected(x)
        scores: Tensor = q @ k.transpose(2, 3)
        if self.scale is None:
            return (scores / math.sqrt(q.shape[-1])).softmax(-1)
        hidden = self._others(x.shape[1], None)
        return (scores * self.scale[:, None, None]).masked_fill(hidden, -torch.inf).softmax(-1)

    def _others(self, tokens: int, mask: Tensor | None) -> Tensor:
        """The mask of locality self-attention, which hides each token from itself."""
        if mask is not None:
            raise ValueError("locality self-attention does not support masks")
        return torch.eye(tokens, dtype=torch.bool, device=self.in_proj_weight.device)


class TransformerBlock(nn.Module):
    """Self-attention, then a feed-forward layer, each with a residual (Vaswani et al., 2017).

    Args:
        d_model: width of a token.
        n_heads: attention heads; divides `d_model`.
        d_ff: width of the feed-forward layer.
        dropout: of attention weights, of the feed-forward layer and of both branches.
        norm_first: normalise each branch's input instead of the sum (pre-norm, Xiong et al.,
            2020); deep models then train without a carefully tuned warmup.
        drop_path: probability of skipping a branch, drawn per sample (stochastic depth).
        norm_eps: added to the variance in layer norm.
        gelu: "none" is exact, "tanh" the approximation that GPT-2 was trained with.
        bias: whether linear layers and norms have one.
        locality: see `SelfAttention`.

    Raises:
        UserError: `n_heads` does not divide `d_model`, or a probability is not in [0, 1).
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        d_ff: int,
        dropout: float = 0.1,
        *,
        norm_first: bool = False,
        drop_path: float = 0.0,
        norm_eps: float = 1e-5,
        gelu: Literal["none", "tanh"] = "none",
        bias: bool = True,
        locality: bool = False,
    ) -> None:
        super().__init__()
        check_probability("dropout", dropout)
        check_probability("drop_path", drop_path)
        self.norm_first = norm_first
        self.attn = SelfAttention(d_model, n_heads, dropout, bias=bias, locality=locality)
        self.ff = nn.Sequential(
            nn.Linear(d_model, d_ff, bias=bias),
            nn.GELU(gelu),
            nn.Dropout(dropout),
            nn.Linear(d_ff, d_model, bias=bias),
        )
        self.ln1 = nn.LayerNorm(d_model, eps=norm_eps, bias=bias)
        self.ln2 = nn.LayerNorm(d_model, eps=norm_eps, bias=bias)
        self.dropout = nn.Dropout(dropout)
        self.drop_path = DropPath(drop_path)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        *,
        causal: bool = False,
        seen: KeyValues | None = None,
    ) -> Tensor:
        """`(batch, tokens, d_model)` to the same shape.

        Args:
            x: the tokens.
            mask: as `nn.MultiheadAttention`'s `attn_mask`: boolean, where True may *not* be
                attended to, or floating and added to the scores; `(tokens, tokens)`,
                `(batch * n_heads, tokens, tokens)`, or four dimensions that broadcast to
                `(batch, n_heads, tokens, tokens)`.
            causal: tokens only attend to themselves and earlier ones; excludes `mask`.
            seen: cached keys and values of earlier tokens, which `x` continues: first the whole
                prompt, then token by token.
        """
        if self.norm_first:
            x = x + self._branch(self.attn(self.ln1(x), mask, causal=causal, seen=seen))
            return x + self._branch(self.ff(self.ln2(x)))
        x = self.ln1(x + self._branch(self.attn(x, mask, causal=causal, seen=seen)))
        out: Tensor = self.ln2(x + self._branch(self.ff(x)))
        return out

    def _branch(self, x: Tensor) -> Tensor:
        out: Tensor = self.drop_path(self.dropout(x))
        return out


def init_trunc_normal(module: nn.Module, std: float = 0.02) -> None:
    """Draws linear, convolution and attention weights from a truncated normal; zeroes biases.

    The initialisation of BERT, DeiT and timm's ViT (Devlin et al., 2019; Touvron et al., 2021).
    """
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            nn.init.trunc_normal_(part.weight, std=std)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, SelfAttention):
            nn.init.trunc_normal_(part.in_proj_weight, std=std)
            if part.in_proj_bias is not None:
                nn.init.zeros_(part.in_proj_bias)
