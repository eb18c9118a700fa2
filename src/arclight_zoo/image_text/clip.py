"""CLIP, from transformers, which embeds images and texts into one space."""

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arclight.models.checks import check_choice
from arclight.models.pretrained import load_pretrained
from arclight.ranges import Count, Pixels, Positive
from arclight_zoo.nets.fitting import (
    check_heads,
    check_images,
    check_places,
    check_towers,
    check_vocabulary,
)

LARGEST_SCALE = 100.0  # as published: with larger logits, training becomes unstable


class CLIP(nn.Module):
    """A vision transformer and a causal text transformer (Radford et al., 2021).

    The embedding of an image is the output of its class token, that of a text the output of its
    end token, each projected and normalised. Feed-forward layers are four times as wide as their
    tower.

    Args:
        image_size: height and width in pixels.
        in_channels: channels of the images.
        patch_size: pixels per side; divides `image_size`.
        vocab_size: size of the vocabulary.
        context: maximum number of tokens per text.
        pad: the padding token.
        end: the end token of texts.
        image_d_model: width of the image tower.
        image_n_heads: its attention heads; divides its width.
        image_n_layers: its blocks.
        text_d_model: width of the text tower.
        text_n_heads: its attention heads; divides its width.
        text_n_layers: its blocks.
        projection: width of the embeddings.
        activation: "quick_gelu", as in the first publication, or "gelu".
        temperature: initial temperature of the softmax; it is learnt.
        pretrained: a folder or hub id of published weights, which bring their own sizes; None:
            random weights.
        activation_checkpointing: recompute each block in the backward pass.

    Raises:
        UserError: a size does not divide another, or `pretrained` cannot be loaded or does not fit.
    """

    entrances = ("embed_texts", "embed_images")

    def __init__(
        self,
        image_size: Pixels,
        in_channels: Count,
        patch_size: Count,
        vocab_size: Count,
        context: Count,
        pad: int,
        end: int,
        image_d_model: Count,
        image_n_heads: Count,
        image_n_layers: Count,
        text_d_model: Count,
        text_n_heads: Count,
        text_n_layers: Count,
        projection: Count,
        *,
        activation: Literal["quick_gelu", "gelu"] = "quick_gelu",
        temperature: Positive = 0.07,
        pretrained: str | None = None,
        activation_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        from transformers import CLIPConfig, CLIPModel

        check_choice("activation", activation, "quick_gelu", "gelu")
        options: dict[str, Any] = {"attn_implementation": "sdpa"}
        if pretrained is not None:
            self.net: Any = load_pretrained(CLIPModel, pretrained, **options)
            text, image = self.net.config.text_config, self.net.config.vision_config
            check_vocabulary(pretrained, vocab_size, text.vocab_size)
            check_places(pretrained, context, text.max_position_embeddings)
            check_images(pretrained, (image_size, image.image_size), (in_channels, 3))
        else:
            check_towers(image_size, patch_size)
            check_heads("image_", image_d_model, image_n_heads)
            check_heads("text_", text_d_model, text_n_heads)
            image_tower = {
                "image_size": image_size,
                "num_channels": in_channels,
                "patch_size": patch_size,
                "hidden_size": image_d_model,
                "num_attention_heads": image_n_heads,
                "num_hidden_layers": image_n_layers,
                "intermediate_size": 4 * image_d_model,
                "hidden_act": activation,
            }
            text_tower = {
                "vocab_size": vocab_size,
                "max_position_embeddings": context,
                "hidden_size": text_d_model,
                "num_attention_heads": text_n_heads,
                "num_hidden_layers": text_n_layers,
                "intermediate_size": 4 * text_d_model,
                "hidden_act": activation,
                "pad_token_id": pad,
                "bos_token_id": None,  # the default is for the published vocabulary
                "eos_token_id": end,
            }
            config = CLIPConfig(
                text_config=text_tower,
                vision_config=image_tower,
                projection_dim=projection,
                logit_scale_init_value=-math.log(temperature),
                **options,
            )
            self.net = CLIPModel(config)
        if activation_checkpointing:
            self.net.activation_checkpointing_enable()

    def forward(
        self, images: Tensor, tokens: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings of images and texts `(batch, projection)`, and the scale of their products.

        Args:
            images: `(batch, channels, height, width)`.
            tokens: `(batch, length)`, with start and end tokens, padded at the right.
            mask: False for padding, `(batch, length)`.
        """
        return self.embed_images(images), self.embed_texts(tokens, mask), self.scale()

    def embed_images(self, images: Tensor) -> Tensor:
        """Images to embeddings `(batch, projection)` of length 1."""
        pooled = self.net.vision_model(pixel_values=images).pooler_output
        return F.normalize(self.net.visual_projection(pooled), dim=-1)

    def embed_texts(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Texts to embeddings `(batch, projection)` of length 1.

        The last token without padding is the end token. transformers finds it by its id, but takes
        the highest id if the end token is 2, as in many tokenizers; this finds it by position.
        """
        # Attention is causal, and padding comes last, so it needs no mask.
        states = self.net.text_model(input_ids=tokens).last_hidden_state
        last = mask.sum(1) - 1
        pooled = states[torch.arange(states.shape[0], device=states.device), last]
        return F.normalize(self.net.text_projection(pooled), dim=-1)

    def scale(self) -> Tensor:
        """The scale of the logits: the inverse temperature, at most 100."""
        if self.training:
            with (
                torch.no_grad()
            ):  # as published: clamp the parameter, so that it can decrease again
                self.net.logit_scale.clamp_(max=math.log(LARGEST_SCALE))
        scale: Tensor = self.net.logit_scale.exp()
        return scale
