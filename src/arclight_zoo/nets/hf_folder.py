"""Export a model as a folder that transformers can load."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from arclight.errors import UserError
from arclight.tasks.task import Answer


def write_model(model: nn.Module, folder: Path, classes: Sequence[str]) -> Answer:
    """Writes a model in the format of transformers, and loads it to check its outputs.

    Args:
        model: has a method `to_transformers()`, or a transformers model as `net`.
        folder: to create.
        classes: their names, in order; empty if there are none.

    Raises:
        UserError: transformers has no such model.
    """
    if hasattr(model, "net"):
        folder.mkdir()
        return _wrapped(model, folder, classes)
    if hasattr(model, "to_transformers"):
        folder.mkdir()
        return _counterpart(model, folder, classes)
    raise UserError(
        f"transformers and timm have no model like {type(model).__name__}: type "
        "format=safetensors, onnx or torch_export."
    )


def _counterpart(model: Any, folder: Path, classes: Sequence[str]) -> Answer:
    import transformers
    from safetensors.torch import save_file

    config, weights = model.to_transformers()
    _name_classes(config, classes)
    config.save_pretrained(folder)
    plain = {name: value.contiguous() for name, value in weights.items()}
    save_file(plain, folder / "model.safetensors", {"format": "pt"})
    again = _open(getattr(transformers, config.architectures[0]), folder)
    channels = getattr(config, "num_channels", None)

    def answer(inputs: dict[str, Tensor]) -> list[Tensor]:
        if "images" in inputs and inputs["images"].shape[1] == 1 and channels == 3:
            inputs = {**inputs, "images": inputs["images"].repeat(1, 3, 1, 1)}
        return [again(*inputs.values()).logits]

    return answer


def _name_classes(config: Any, classes: Sequence[str]) -> None:
    if classes:
        config.id2label = dict(enumerate(classes))
        config.label2id = {name: i for i, name in enumerate(classes)}


def _wrapped(model: Any, folder: Path, classes: Sequence[str]) -> Answer:
    net: Any = model.net
    if hasattr(net.config, "num_labels"):
        _name_classes(net.config, classes)
    grey = _as_coloured(net)
    net.save_pretrained(folder)
    model.net = _open(type(net), folder)

    def answer(inputs: dict[str, Tensor]) -> list[Tensor]:
        if grey:
            inputs = {**inputs, "images": inputs["images"].repeat(1, 3, 1, 1)}
        found = model(*inputs.values())
        return list(found) if isinstance(found, tuple) else [found]

    return answer


def _as_coloured(net: Any) -> bool:
    """Converts a grey model to RGB, if pipelines only feed it RGB images.

    This is the case for models of images with texts (CLIP, BLIP). Three equal channels, each with a
    third of the weights, give the same output as the grey one.
    """
    tower = getattr(net, "vision_model", None)
    patches = getattr(getattr(tower, "embeddings", None), "patch_embedding", None)
    if not isinstance(patches, nn.Conv2d) or patches.in_channels != 1:
        return False
    patches.weight = nn.Parameter(patches.weight.repeat(1, 3, 1, 1) / 3, requires_grad=False)
    patches.in_channels = net.config.vision_config.num_channels = 3
    return True


def _open(kind: Any, folder: Path) -> Any:
    opened, report = kind.from_pretrained(
        folder, dtype=torch.float32, trust_remote_code=False, output_loading_info=True
    )
    if report["missing_keys"] or report["mismatched_keys"]:
        raise UserError(f"{kind.__name__} does not find all of its weights in the exported folder.")
    return opened.eval()
