"""A run's model as a folder that transformers or timm opens by itself."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from arclight.data.facts import ImageFacts
from arclight.data.text import tokenizer as tokenizers
from arclight.errors import UserError
from arclight.files import write_json
from arclight.models.published import as_transformers
from arclight.run.trained import Trained
from arclight.tasks.language_modelling import LanguageModelling

Answer = Callable[[dict[str, Tensor]], Sequence[Tensor]]


def library_folder(one: Trained, folder: Path) -> Answer:
    """Writes the folder, with tokenizer and preprocessing, and opens it again.

    Raises:
        UserError: neither library has such a model.
    """
    net = getattr(one.model, "net", None)
    if hasattr(one.model, "pretrained_cfg"):
        return _of_timm(one, folder)
    folder.mkdir()
    again = _behind_the_door(one, folder) if net is not None else _of_its_own(one, folder)
    _tokenizer(one, folder)
    _preprocessing(one, folder)
    return again


def _of_timm(one: Trained, folder: Path) -> Answer:
    import timm

    if one.config["model"].get("small_images"):
        raise UserError(
            "timm has no model with the stem of model.small_images=true: type format=safetensors, "
            "onnx or torch_export."
        )
    facts: Any = one.facts
    size = (facts.channels, facts.image_size, facts.image_size)
    shape = {
        "mean": facts.mean,
        "std": facts.std,
        "input_size": size,
        "crop_pct": facts.eval_crop,
    }
    timm.models.save_for_hf(
        one.model,
        str(folder),
        model_config={"num_classes": facts.num_classes, "pretrained_cfg": shape},
        model_args={"in_chans": facts.channels},
        safe_serialization=True,
    )
    again = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    return lambda inputs: [again(inputs["images"])]


def _of_its_own(one: Trained, folder: Path) -> Answer:
    """The project's GPT and ViT have counterparts in transformers."""
    import transformers
    from safetensors.torch import save_file

    config, weights = as_transformers(one.model)
    config.id2label = _labels(one) or config.id2label
    config.save_pretrained(folder)
    plain = {name: value.contiguous() for name, value in weights.items()}
    save_file(plain, folder / "model.safetensors", {"format": "pt"})
    again = _opened(getattr(transformers, config.architectures[0]), folder)
    return lambda inputs: [again(*inputs.values()).logits]


def _behind_the_door(one: Trained, folder: Path) -> Answer:
    """A model of transformers under one of ours: its own folder, opened in its place."""
    net: Any = one.model.net
    if one.facts and _labels(one) and hasattr(net.config, "num_labels"):
        net.config.id2label = _labels(one)
    grey = _as_coloured(net)
    net.save_pretrained(folder)
    one.model.net = _opened(type(net), folder)

    def answer(inputs: dict[str, Tensor]) -> list[Tensor]:
        if grey:
            inputs = {**inputs, "images": inputs["images"].repeat(1, 3, 1, 1)}
        found = one.model(*inputs.values())
        return list(found) if isinstance(found, tuple) else [found]

    return answer


def _as_coloured(net: Any) -> bool:
    """Makes patches of one channel into patches of three, where the library knows no other (BLIP).

    Three equal channels, each with a third of the weights, say what the grey one did.
    """
    if net.config.model_type != "blip":
        return False
    patches = net.vision_model.embeddings.patch_embedding
    if patches.in_channels != 1:
        return False
    patches.weight = nn.Parameter(patches.weight.repeat(1, 3, 1, 1) / 3, requires_grad=False)
    patches.in_channels = 3
    return True


def _opened(kind: Any, folder: Path) -> Any:
    opened, report = kind.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    if report["missing_keys"] or report["mismatched_keys"]:
        raise UserError(f"{kind.__name__} does not find all its weights in what was written.")
    return opened.eval()


def _labels(one: Trained) -> dict[int, str]:
    return dict(enumerate(getattr(one.facts, "class_names", [])))


def _tokenizer(one: Trained, folder: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    tokenizer = tokenizers.load(one.run.path)
    if tokenizer is None:
        return
    if not isinstance(one.task, LanguageModelling):
        tokenizer = tokenizers.framed(tokenizer)
    names = {
        "pad_token": tokenizers.PAD,
        "unk_token": tokenizers.UNKNOWN,
        "bos_token": tokenizers.START,
        "mask_token": tokenizers.MASK,
    }
    known = {k: v for k, v in names.items() if tokenizer.token_to_id(v) is not None}
    end = tokenizers.end_of(tokenizer)
    if end is not None:
        known["eos_token"] = str(tokenizer.id_to_token(end))
    fast: Any = PreTrainedTokenizerFast
    fast(tokenizer_object=tokenizer, **known).save_pretrained(folder)


PROCESSORS = {"clip": "CLIPImageProcessor", "blip": "BlipImageProcessor"}


def _preprocessing(one: Trained, folder: Path) -> None:
    facts = one.facts
    if not isinstance(facts, ImageFacts):
        return
    net: Any = getattr(one.model, "net", None)
    kind = net.config.model_type if net is not None else "vit"
    side = {"height": facts.image_size, "width": facts.image_size}
    times = 3 // facts.channels if kind == "blip" else 1
    how = {
        "image_processor_type": PROCESSORS.get(kind, "ViTImageProcessor"),
        "size": side,
        "do_center_crop": False,
    }
    if facts.eval_crop < 1:  # only CLIP's has a crop
        how = {
            "image_processor_type": PROCESSORS["clip"],
            "size": {"shortest_edge": round(facts.image_size / facts.eval_crop)},
            "do_center_crop": True,
            "crop_size": side,
            "do_convert_rgb": facts.channels * times == 3,
            "resample": 2,  # bilinear
        }
    write_json(
        folder / "preprocessor_config.json",
        {
            **how,
            "do_resize": True,
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": facts.mean * times,
            "image_std": facts.std * times,
        },
    )
