"""Load any model of transformers with the `AutoModel...` class that fits the task."""

import inspect
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arclight.errors import UserError
from arclight.models.pretrained import load_pretrained
from arclight.models.sharded import is_sharded
from arclight.ranges import Count, Pixels
from arclight_zoo.nets.causal_lm import CausalLM
from arclight_zoo.nets.encoder_decoder import EncoderDecoder
from arclight_zoo.nets.fitting import check_images, check_places, check_vocabulary
from arclight_zoo.nets.masks import require_mask_names, skip_mask_sync


class ImageClassifier(nn.Module):
    """An image classifier of transformers.

    Args:
        net: from `AutoModelForImageClassification`.
    """

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        """Images `(batch, channels, height, width)` to logits `(batch, classes)`."""
        logits: Tensor = self.net(pixel_values=images).logits
        return logits


class TextClassifier(nn.Module):
    """A text classifier of transformers.

    Args:
        net: from `AutoModelForSequenceClassification`.
    """

    def __init__(self, net: Any) -> None:
        super().__init__()
        require_mask_names()
        self.net = net

    @skip_mask_sync
    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Tokens and mask (False: padding) `(batch, length)` to logits `(batch, classes)`."""
        logits: Tensor = self.net(input_ids=tokens, attention_mask=mask.long()).logits
        return logits


class TwoTowers(nn.Module):
    """A contrastive image-text model of transformers.

    Args:
        net: a model with `get_image_features`, `get_text_features` and `logit_scale`.
    """

    entrances = ("embed_texts", "embed_images")

    def __init__(self, net: Any) -> None:
        super().__init__()
        require_mask_names()
        self.net = net

    def forward(
        self, images: Tensor, tokens: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings of images and texts, and the scale of their products; see `CLIP`."""
        return self.embed_images(images), self.embed_texts(tokens, mask), self.scale()

    def embed_images(self, images: Tensor) -> Tensor:
        """Images to embeddings `(batch, width)` of length 1."""
        return _unit(self.net.get_image_features(pixel_values=images))

    @skip_mask_sync
    def embed_texts(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Texts to embeddings `(batch, width)` of length 1."""
        found = self.net.get_text_features(input_ids=tokens, attention_mask=mask.long())
        return _unit(found)

    def scale(self) -> Tensor:
        """The scale of the logits."""
        scale: Tensor = self.net.logit_scale.exp()
        return scale


class Captioner(nn.Module):
    """An image captioner of transformers.

    Args:
        net: from `AutoModelForImageTextToText`; its inputs are an image and the text so far.
    """

    def __init__(self, net: Any) -> None:
        super().__init__()
        require_mask_names()
        self.net = net
        own_decoder = "decoder_input_ids" in inspect.signature(net.forward).parameters
        self.text_name = "decoder_input_ids" if own_decoder else "input_ids"

    @skip_mask_sync
    def forward(self, images: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Logits of the next token at each position `(batch, length, vocab)`; see `BLIP`."""
        found: Tensor = self.net(pixel_values=images, **self._begun(tokens, mask)).logits
        return found[:, -tokens.shape[1] :]  # patches may precede the text

    @torch.no_grad()
    def generate(self, images: Tensor, length: int, end: int) -> Tensor:
        """Greedy decoding: `(batch, length)`, without the start token; see `BLIP`."""
        self.eval()
        first = torch.full((len(images), 1), end, device=images.device)
        made: Tensor = self.net.generate(
            pixel_values=images,
            **self._begun(first, torch.ones_like(first)),
            max_new_tokens=length,
            do_sample=False,
            num_beams=1,
            eos_token_id=end,
            pad_token_id=end,
            synced_gpus=is_sharded(self),  # the default does not detect these shards
        )
        return F.pad(made[:, 1:], (0, length + 1 - made.shape[1]), value=end)

    def _begun(self, tokens: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Adds the model's start token, which published weights expect but no tokenizer adds."""
        config = self.net.config
        start = getattr(config, "decoder_start_token_id", None)
        start = config.get_text_config(decoder=True).bos_token_id if start is None else start
        first = tokens[:, :1] if start is None else torch.full_like(tokens[:, :1], start)
        begun = torch.cat([first, tokens[:, 1:]], dim=1)
        mask_name = self.text_name.replace("input_ids", "attention_mask")
        return {self.text_name: begun, mask_name: mask.long()}


def _unit(found: Any) -> Tensor:
    return F.normalize(found if isinstance(found, Tensor) else found.pooler_output, dim=-1)


# By task: the library's class, and our wrapper.
KINDS: dict[str, tuple[str, Any]] = {
    "ImageClassification": ("AutoModelForImageClassification", ImageClassifier),
    "TextClassification": ("AutoModelForSequenceClassification", TextClassifier),
    "LanguageModelling": ("AutoModelForCausalLM", CausalLM),
    "SequenceToSequence": ("AutoModelForSeq2SeqLM", EncoderDecoder),
    "Contrastive": ("AutoModel", TwoTowers),
    "Captioning": ("AutoModelForImageTextToText", Captioner),
}


def auto(
    task: str,
    pretrained: str | None,
    *,
    num_classes: Count | None = None,
    image_size: Pixels | None = None,
    in_channels: Count | None = None,
    vocab_size: Count | None = None,
    context: Count | None = None,
    pad: int | None = None,
    activation_checkpointing: bool = False,
) -> nn.Module:
    """Loads a published model for a task; its sizes come with the weights.

    Args:
        task: the `_target_` of the task.
        pretrained: a folder or hub id of published weights.
        num_classes: number of classes; a head for another number is replaced by a new one.
        image_size: height and width in pixels.
        in_channels: channels of the images.
        vocab_size: size of the vocabulary.
        context: maximum number of tokens per text.
        pad: the padding token.
        activation_checkpointing: recompute each block in the backward pass.

    Raises:
        UserError: there is no class for the task, or `pretrained` cannot be loaded or does not fit.
    """
    import transformers

    name = task.rpartition(".")[2]
    if pretrained is None:
        raise UserError(
            "model=auto takes its sizes from published weights: type model.pretrained=FOLDER, or "
            "a hub id."
        )
    if name not in KINDS:
        raise UserError(
            f"model=auto has no model for {name}, only for {', '.join(KINDS)}: type another task=."
        )
    theirs, ours = KINDS[name]
    options: dict[str, Any] = {}
    if name in ("ImageClassification", "TextClassification"):
        options["num_labels"] = num_classes
    if name == "TextClassification":
        options["pad_token_id"] = pad
    net = load_pretrained(getattr(transformers, theirs), pretrained, **options)
    _check(net, name, pretrained, image_size, in_channels, vocab_size, context)
    if activation_checkpointing:
        net.gradient_checkpointing_enable()
    model: nn.Module = ours(net)
    return model


def _check(
    net: Any,
    task: str,
    pretrained: str,
    image_size: int | None,
    in_channels: int | None,
    vocab_size: int | None,
    context: int | None,
) -> None:
    """Raises `UserError` if the weights do not fit the data."""
    if task == "Contrastive" and not (
        hasattr(net, "get_image_features") and hasattr(net, "logit_scale")
    ):
        raise UserError(
            f"model.pretrained={pretrained} is a {type(net).__name__}, which does not embed images "
            "and texts: name a model that does, such as a CLIP."
        )
    if task == "Captioning":
        _check_captioner(net, pretrained)
    if task == "SequenceToSequence" and net.config.decoder_start_token_id is None:
        raise UserError(
            f"model.pretrained={pretrained} does not set the start token of its decoder: add "
            "decoder_start_token_id to its config.json."
        )
    text = net.config.get_text_config(decoder=task == "Captioning")
    image = getattr(net.config, "vision_config", net.config)
    if vocab_size is not None and hasattr(text, "vocab_size"):
        check_vocabulary(pretrained, vocab_size, text.vocab_size)
    known = getattr(text, "max_position_embeddings", None)
    if context is not None and isinstance(known, int):
        key = {"TextClassification": "max_length", "SequenceToSequence": "max_length"}
        check_places(pretrained, context, known, key.get(task, "context"))
    size, channels = (getattr(image, key, None) for key in ("image_size", "num_channels"))
    if image_size is not None and in_channels is not None:
        sizes = image_size, size if isinstance(size, int) else image_size
        check_images(pretrained, sizes, (in_channels, channels or in_channels))


def _check_captioner(net: Any, pretrained: str) -> None:
    kind = type(net).__name__
    if kind == "BlipForConditionalGeneration":
        raise UserError(
            f"model.pretrained={pretrained} is a BLIP: type model=blip "
            f"model.pretrained={pretrained}."
        )
    marks = [key for key in ("image_token_id", "image_token_index") if hasattr(net.config, key)]
    if marks:
        raise UserError(
            f"model.pretrained={pretrained} is a {kind}, which needs image tokens in its texts, "
            "but captions have none: name a captioner, such as a BLIP, a GIT or a "
            "VisionEncoderDecoder."
        )
