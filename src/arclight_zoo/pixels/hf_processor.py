"""Export a run's preprocessing as an image processor of transformers."""

from pathlib import Path
from typing import Any

from torch import nn

from arclight.files import write_json
from arclight_zoo.pixels.image_facts import ImageFacts


def as_coloured(model: nn.Module) -> bool:
    """Whether the exported model takes grey images as RGB, see `write_model`."""
    net: Any = getattr(model, "net", None)
    return net is None or hasattr(net, "vision_model")


def write_processor(model: nn.Module, facts: ImageFacts, folder: Path) -> None:
    """Writes `preprocessor_config.json` beside an exported model.

    The shorter side is scaled and the centre is kept, as in evaluation: by default only CLIP's
    processor does so, but others support it.
    """
    net: Any = getattr(model, "net", None)
    blip = net is not None and net.config.model_type == "blip"
    times = 3 if as_coloured(model) and facts.channels == 1 else 1
    write_json(
        folder / "preprocessor_config.json",
        {
            "image_processor_type": "BlipImageProcessor" if blip else "CLIPImageProcessor",
            "do_convert_rgb": facts.channels * times == 3,
            "do_resize": True,
            "size": {"shortest_edge": int(facts.image_size / facts.eval_crop)},
            "resample": 2,  # bilinear
            "do_center_crop": True,
            "crop_size": {"height": facts.image_size, "width": facts.image_size},
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": facts.mean * times,
            "image_std": facts.std * times,
        },
    )
