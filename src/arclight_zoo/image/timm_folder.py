"""Export a timm model as a folder that timm can load."""

from pathlib import Path
from typing import Any

from arclight.errors import UserError
from arclight.tasks.task import Answer
from arclight_zoo.pixels.image_facts import ImageFacts


def write_timm(model: Any, facts: ImageFacts, folder: Path) -> Answer:
    """Writes the folder with its preprocessing, and loads it to check the outputs.

    Raises:
        UserError: the model has a stem that timm does not support.
    """
    import timm

    if getattr(model, "small_images", False):
        raise UserError(
            "timm has no model with the stem of model.small_images=true: type format=safetensors, "
            "onnx or torch_export."
        )
    shape = {
        "mean": facts.mean,
        "std": facts.std,
        "input_size": (facts.channels, facts.image_size, facts.image_size),
        "crop_pct": facts.eval_crop,
        "interpolation": "bilinear",
    }
    timm.models.save_for_hf(
        model,
        str(folder),
        model_config={
            "num_classes": facts.num_classes,
            "label_names": facts.class_names,
            "pretrained_cfg": shape,
        },
        model_args={"in_chans": facts.channels},
        safe_serialization=True,
    )
    again = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    return lambda inputs: [again(inputs["images"])]
