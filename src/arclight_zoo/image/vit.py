"""Vision transformer."""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from arclight.errors import UserError
from arclight.models.checks import check_choice, check_probability, nearest_divisor
from arclight.ranges import Count, Pixels, Positive, Share
from arclight_zoo.nets.transformer import TransformerBlock, init_trunc_normal
from arclight_zoo.pixels.fit import patch_size_for


class ShiftedPatches(nn.Module):
    """Shifted patch tokenisation (Lee et al., 2021): a token also sees half of its neighbours.

    The image is concatenated with four copies of itself, each shifted by half a patch along a
    diagonal. The patches of all five are normalised and projected together.

    Args:
        in_channels: of the image.
        d_model: width of a token.
        patch_size: pixels per side of a patch.
    """

    def __init__(self, in_channels: int, d_model: int, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.norm = nn.LayerNorm(5 * in_channels * patch_size**2)
        self.proj = nn.Linear(5 * in_channels * patch_size**2, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Images `(batch, in_channels, height, width)` to a map of tokens, like `nn.Conv2d`:
        `(batch, d_model, height / patch_size, width / patch_size)`.
        """
        half = self.patch_size // 2
        height, width = x.shape[-2:]
        padded = F.pad(x, (half, half, half, half))
        shifted = [
            padded[..., y : y + height, x0 : x0 + width]
            for y in (0, 2 * half)
            for x0 in (0, 2 * half)
        ]
        patches = F.pixel_unshuffle(torch.cat([x, *shifted], dim=1), self.patch_size)
        tokens: Tensor = self.proj(self.norm(patches.permute(0, 2, 3, 1)))
        return tokens.permute(0, 3, 1, 2)


class ViT(nn.Module):
    """Vision transformer (Dosovitskiy et al., 2021).

    The defaults are the simplest form: post-norm blocks and a class token. The published models
    set `norm_first`, `final_norm`, `norm_eps=1e-6` and `init="trunc_normal"`.

    Args:
        image_size: pixels per side of the square images.
        patch_size: pixels per side of a patch; divides `image_size`. None: the smallest
            divisor from 4 on that gives at most 200 patches.
        num_classes: number of logits.
        d_model: width of a token.
        n_heads: attention heads; divides `d_model`.
        n_layers: transformer blocks.
        in_channels: 1 for grey images, 3 for colour.
        d_ff: width of the feed-forward layers; None: 4 * `d_model`.
        dropout: of attention weights, of the feed-forward layers and of both branches.
        drop_path: stochastic depth of the last block; rises linearly from 0 at the first.
        norm_first: pre-norm blocks.
        final_norm: layer norm between pooling and the head; recommended for pre-norm blocks.
        norm_eps: added to the variance in layer norm.
        pool: "cls" uses a class token; "mean" averages over patches, without a class token
            (Beyer et al., 2022).
        init: "reference" is PyTorch's own initialisation with zero position and class
            embeddings; "trunc_normal" draws embeddings and weights from a truncated normal of
            deviation 0.02, as timm does, with zero biases; "unit" keeps PyTorch's weights and gives
            patches, positions and class token variance 1, which needs far fewer steps on small
            images: otherwise the positions are too weak beside small patches.
        shifted_patches: see `ShiftedPatches`.
        locality: locality self-attention (Lee et al., 2021); see `SelfAttention`.
        activation_checkpointing: recompute each block in the backward pass; saves memory for about
            a third more time (Chen et al., 2016).

    Raises:
        UserError: a size does not divide another, a probability is outside [0, 1), or (in
            `forward`) an image has another size.
    """

    def __init__(
        self,
        image_size: Pixels,
        patch_size: Count | None,
        num_classes: Count,
        d_model: Count,
        n_heads: Count,
        n_layers: Count,
        *,
        in_channels: Count = 3,
        d_ff: Count | None = None,
        dropout: Share = 0.1,
        drop_path: Share = 0.0,
        norm_first: bool = False,
        final_norm: bool = False,
        norm_eps: Positive = 1e-5,
        pool: Literal["cls", "mean"] = "cls",
        init: Literal["reference", "trunc_normal", "unit"] = "reference",
        shifted_patches: bool = False,
        locality: bool = False,
        activation_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if patch_size is None:
            patch_size = patch_size_for(image_size)
        if patch_size < 1 or image_size % patch_size:
            raise UserError(
                f"model.patch_size={patch_size} does not divide images of "
                f"{image_size}x{image_size}: type "
                f"model.patch_size={nearest_divisor(image_size, patch_size)}, or give "
                "data.image_size a multiple of the patch size."
            )
        check_choice("pool", pool, "cls", "mean")
        check_choice("init", init, "reference", "trunc_normal", "unit")
        check_probability("drop_path", drop_path)
        self.image_size, self.patch_size = image_size, patch_size
        self.activation_checkpointing = activation_checkpointing
        num_patches = (image_size // patch_size) ** 2
        num_cls = 1 if pool == "cls" else 0

        self.patch_embed = (
            ShiftedPatches(in_channels, d_model, patch_size)
            if shifted_patches
            else nn.Conv2d(in_channels, d_model, patch_size, patch_size)
        )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, d_model)) if num_cls else None
        self.pos_embed = nn.Parameter(torch.zeros(1, num_patches + num_cls, d_model))
        self.transformer = nn.ModuleList(
            TransformerBlock(
                d_model,
                n_heads,
                4 * d_model if d_ff is None else d_ff,
                dropout,
                norm_first=norm_first,
                drop_path=drop_path * i / max(1, n_layers - 1),
                norm_eps=norm_eps,
                locality=locality,
            )
            for i in range(n_layers)
        )
        self.norm = nn.LayerNorm(d_model, eps=norm_eps) if final_norm else nn.Identity()
        self.head = nn.Linear(d_model, num_classes)
        self._init(init)

    def _init(self, init: str) -> None:
        embeddings = [p for p in (self.pos_embed, self.cls_token) if p is not None]
        if init == "trunc_normal":
            init_trunc_normal(self)
            for embedding in embeddings:
                nn.init.trunc_normal_(embedding, std=0.02)
        elif init == "unit":
            for embedding in embeddings:
                nn.init.normal_(embedding)
            # outputs of variance 1 for pixels of variance 1 (LeCun et al., 1998)
            patches = self.patch_embed
            weight = patches.proj.weight if isinstance(patches, ShiftedPatches) else patches.weight
            nn.init.normal_(weight, std=weight[0].numel() ** -0.5)

    def layers(self) -> list[nn.Module]:
        """The blocks, from input to output."""
        return list(self.transformer)

    def get_classifier(self) -> nn.Module:
        """The head."""
        return self.head

    def adapt_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Renames weights of timm's or transformers' ViT to this model's names; keeps others."""
        from arclight_zoo.image.vit_weights import from_timm_vit, from_transformers_vit

        if any("patch_embed.proj" in key for key in weights):
            return from_timm_vit(weights)
        if any("patch_embeddings" in key for key in weights):
            return from_transformers_vit(weights)
        return weights

    def to_transformers(self) -> tuple[Any, dict[str, Tensor]]:
        """A config of transformers, and the weights under its names, for `from_pretrained`."""
        from arclight_zoo.image.vit_weights import as_transformers_vit

        return as_transformers_vit(self)

    def forward(self, x: Tensor) -> Tensor:
        """Images `(batch, in_channels, image_size, image_size)` to logits `(batch, num_classes)`.

        Images are independent of each other.
        """
        height, width = x.shape[-2:]
        if height != self.image_size or width != self.image_size:
            raise UserError(
                f"The model was built for images of {self.image_size}x{self.image_size} but got "
                f"{height}x{width}: type data.image_size={self.image_size}."
            )
        x = self.patch_embed(x).flatten(2).transpose(1, 2)  # (batch, patches, d_model)
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.expand(x.size(0), -1, -1), x], dim=1)
        x = x + self.pos_embed
        for block in self.transformer:
            if self.activation_checkpointing and self.training:
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        # Pool before the norm: equal for a class token, and less work.
        x = x.mean(dim=1) if self.cls_token is None else x[:, 0]
        logits: Tensor = self.head(self.norm(x))
        return logits
