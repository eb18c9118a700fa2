"""Export a run's preprocessing as an image processor of transformers."""

from pathlib import Path
from typing import Any

from torch import nn

from arclight.files import write_json
from arclight_zoo.pixels.image_facts import ImageFacts

PROCESSORS = {"clip": "CLIPImageProcessor", "blip": "BlipImageProcessor"}


def write_processor(model: nn.Module, facts: ImageFacts, folder: Path) -> None:
    """Writes `preprocessor_config.json` beside an exported model."""
    net: Any = getattr(model, "net", None)
    kind = net.config.model_type if net is not None else "vit"
    side = {"height": facts.image_size, "width": facts.image_size}
    coloured = kind == "blip" or net is None  # both convert grey images to RGB
    times = 3 if coloured and facts.channels == 1 else 1
    how = {
        "image_processor_type": PROCESSORS.get(kind, "ViTImageProcessor"),
        "size": side,
        "do_center_crop": False,
        "resample": 2,  # bilinear
    }
    if facts.eval_crop < 1:  # only CLIP's processor can crop
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
