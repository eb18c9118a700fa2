"""BLIP, from transformers, for captioning."""

from typing import Any

import torch
from torch import Tensor, nn

from arclight.models.pretrained import load_pretrained
from arclight.models.sharded import all_ended
from arclight.ranges import Count, Pixels, Share
from arclight_zoo.nets.fitting import (
    check_heads,
    check_images,
    check_places,
    check_towers,
    check_vocabulary,
)


class BLIP(nn.Module):
    """A vision transformer, and a text decoder that attends to its patches (Li et al., 2022).

    The head shares the token embedding's weights. Feed-forward layers are four times as wide as
    their tower.

    Args:
        image_size: height and width in pixels.
        in_channels: channels of the images.
        patch_size: pixels per side; divides `image_size`.
        vocab_size: size of the vocabulary.
        context: maximum number of tokens per caption.
        pad: the padding token.
        start: the start token of captions.
        end: the end token of captions.
        image_d_model: width of the image tower.
        image_n_heads: its attention heads; divides its width.
        image_n_layers: its blocks.
        text_d_model: width of the decoder.
        text_n_heads: its attention heads; divides its width.
        text_n_layers: its blocks.
        dropout: of the decoder's embeddings, attention weights and branches, and of the image
            tower's attention weights.
        pretrained: a folder or hub id of published weights, which bring their own sizes; None:
            random weights.
        activation_checkpointing: recompute each block in the backward pass.

    Raises:
        UserError: a size does not divide another, or `pretrained` cannot be loaded or does not fit.
    """

    def __init__(
        self,
        image_size: Pixels,
        in_channels: Count,
        patch_size: Count,
        vocab_size: Count,
        context: Count,
        pad: int,
        start: int,
        end: int,
        image_d_model: Count,
        image_n_heads: Count,
        image_n_layers: Count,
        text_d_model: Count,
        text_n_heads: Count,
        text_n_layers: Count,
        *,
        dropout: Share = 0.0,
        pretrained: str | None = None,
        activation_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        from transformers import BlipConfig, BlipForConditionalGeneration

        kind = BlipForConditionalGeneration
        if pretrained is not None:
            self.net: Any = load_pretrained(kind, pretrained)
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
                "patch_size": patch_size,
                "hidden_size": image_d_model,
                "num_attention_heads": image_n_heads,
                "num_hidden_layers": image_n_layers,
                "intermediate_size": 4 * image_d_model,
                "attention_dropout": dropout,
                "initializer_range": image_d_model**-0.5,  # the default is 1e-10
            }
            text_tower = {
                "vocab_size": vocab_size,
                "max_position_embeddings": context,
                "hidden_size": text_d_model,
                "num_attention_heads": text_n_heads,
                "num_hidden_layers": text_n_layers,
                "intermediate_size": 4 * text_d_model,
                "hidden_dropout_prob": dropout,
                "attention_probs_dropout_prob": dropout,
                # the published 0.02 is for a width of 768; here the image would have little effect
                "initializer_range": text_d_model**-0.5,
                "pad_token_id": pad,
                "bos_token_id": start,
                "eos_token_id": end,
                "sep_token_id": end,
            }
            self.net = kind(BlipConfig(text_config=text_tower, vision_config=image_tower))
            if in_channels != 3:
                self._see(in_channels)
        if activation_checkpointing:
            self.net.activation_checkpointing_enable()

    def _see(self, in_channels: int) -> None:
        """Patch embeddings for other than three channels, which transformers does not support."""
        embeddings = self.net.vision_model.embeddings
        d_model, size = embeddings.embed_dim, embeddings.patch_size
        patches = nn.Conv2d(in_channels, d_model, size, size)
        # outputs of variance 1 for pixels of variance 1, or the positions would dominate
        nn.init.normal_(patches.weight, std=patches.weight[0].numel() ** -0.5)
        assert patches.bias is not None
        nn.init.zeros_(patches.bias)
        embeddings.patch_embedding = patches

    def forward(self, images: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Logits of the next token at each position `(batch, length, vocab)`.

        Args:
            images: `(batch, channels, height, width)`.
            tokens: `(batch, length)`, starting with the start token, padded at the right; logits
                depend only on the image, the token at their position and earlier ones.
            mask: False for padding; unused, since causal attention does not see later padding.
        """
        logits: Tensor = self.net.text_decoder(
            input_ids=self._begun(tokens), encoder_hidden_states=self._seen(images), use_cache=False
        ).logits
        return logits

    def _seen(self, images: Tensor) -> Tensor:
        states: Tensor = self.net.vision_model(pixel_values=images).last_hidden_state
        return states

    def _begun(self, tokens: Tensor) -> Tensor:
        """Adds the model's start token, which published weights expect but no tokenizer adds."""
        first = torch.full_like(tokens[:, :1], self.net.config.text_config.bos_token_id)
        return torch.cat([first, tokens[:, 1:]], dim=1)

    @torch.no_grad()
    def generate(self, images: Tensor, length: int, end: int) -> Tensor:
        """Greedy decoding: `(batch, length)`, without the start token.

        Args:
            images: `(batch, channels, height, width)`.
            length: number of tokens to generate.
            end: the end token; it pads shorter captions.
        """
        from transformers import DynamicCache, EncoderDecoderCache

        self.eval()
        states = self._seen(images)
        cache: Any = EncoderDecoderCache(DynamicCache(), DynamicCache())
        made = torch.full((len(images), length), end, device=images.device)
        new = self._begun(made[:, :1])
        done = torch.zeros_like(new, dtype=torch.bool)
        for place in range(length):
            logits = self.net.text_decoder(
                input_ids=new, encoder_hidden_states=states, past_key_values=cache, use_cache=True
            ).logits
            new = torch.where(done, end, logits[:, -1:].argmax(-1))
            made[:, place] = new[:, 0]
            done |= new == end
            if all_ended(done, self):
                break
        return made
