"""Small random checkpoints, saved by the libraries of the models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
import transformers

VOCAB, CONTEXT, END, START = 61, 16, 60, 1
TOWER: dict[str, Any] = {
    "hidden_size": 128,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "intermediate_size": 256,
}
TEXT: dict[str, Any] = {**TOWER, "vocab_size": VOCAB, "max_position_embeddings": CONTEXT}
IMAGE: dict[str, Any] = {**TOWER, "image_size": 8, "patch_size": 4}
FRAME: dict[str, Any] = {"pad_token_id": 0, "bos_token_id": START, "eos_token_id": END}


def bert(masked: bool = False) -> Any:
    kind = "ForMaskedLM" if masked else "ForSequenceClassification"
    config = transformers.BertConfig(**TEXT, num_labels=5)
    return getattr(transformers, f"Bert{kind}")(config)


def gpt2() -> Any:
    sizes: dict[str, Any] = {"n_embd": 128, "n_head": 4, "n_layer": 2, "n_positions": CONTEXT}
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=VOCAB, **sizes))


def llama() -> Any:
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**TEXT))


def t5() -> Any:
    config = transformers.T5Config(
        vocab_size=VOCAB,
        d_model=128,
        d_kv=32,
        d_ff=256,
        num_heads=4,
        num_layers=2,
        dropout_rate=0.0,
        decoder_start_token_id=0,
    )
    return transformers.T5ForConditionalGeneration(config)


def clip() -> Any:
    text = {**TEXT, **FRAME}
    return transformers.CLIPModel(
        transformers.CLIPConfig(text_config=text, vision_config=IMAGE, projection_dim=64)
    )


def blip() -> Any:
    text = {**TEXT, **FRAME, "sep_token_id": END, "encoder_hidden_size": 128}
    image = {**IMAGE, "initializer_range": 0.02}
    config = transformers.BlipConfig(text_config=text, vision_config=image)
    return transformers.BlipForConditionalGeneration(config)


def git() -> Any:
    text = {**TEXT, **FRAME, "max_position_embeddings": 32}
    return transformers.GitForCausalLM(transformers.GitConfig(**text, vision_config=IMAGE))


def vit_gpt2() -> Any:
    text = gpt2().config
    text.update({**FRAME, "is_decoder": True, "add_cross_attention": True})
    image = transformers.ViTConfig(**IMAGE)
    kind = transformers.VisionEncoderDecoderConfig
    config = kind.from_encoder_decoder_configs(image, text, decoder_start_token_id=START)
    return transformers.VisionEncoderDecoderModel(config)


def llava() -> Any:
    text = transformers.LlamaConfig(**TEXT)
    image = transformers.CLIPVisionConfig(**IMAGE)
    config = transformers.LlavaConfig(text_config=text, vision_config=image, image_token_index=2)
    return transformers.LlavaForConditionalGeneration(config)


def vit() -> Any:
    config = transformers.ViTConfig(**IMAGE, num_labels=5, layer_norm_eps=1e-6)
    return transformers.ViTForImageClassification(config)


def of_timm(name: str, **options: Any) -> Any:
    return timm.create_model(name, num_classes=5, **options)


def timm_vit() -> Any:
    sizes = {"img_size": 8, "patch_size": 4, "embed_dim": 128, "depth": 2, "num_heads": 4}
    return of_timm("vit_tiny_patch16_224", **sizes, mlp_ratio=2)


def saved(make: Callable[[], Any], folder: Path) -> Path:
    """Saves a model to a folder with its library, with weights larger than at initialization."""
    torch.manual_seed(0)
    model = make().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "logit_scale" not in name:
                torch.nn.init.normal_(parameter, std=0.1)
    if isinstance(model, transformers.PreTrainedModel):
        model.save_pretrained(folder)
    else:
        timm.models.save_for_hf(model, str(folder), safe_serialization=True)
    return folder
