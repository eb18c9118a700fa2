"""Images as the weights of `model.pretrained` know them: size, crop, channels, mean, deviation."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arclight.models.pretrained import find_file
from arclight.run.console import say
from arclight.run.directory import RunDirectory

KEYS = ("image_size", "channels", "mean", "std", "eval_crop")


def as_weights_know_it(config: dict[str, Any], folder: Path | None = None) -> dict[str, Any]:
    """The config's `data`, with what is null there as the weights were trained with.

    Whatever is given stays, and what the weights do not tell comes from the data as ever.

    Args:
        folder: the run's directory; what it took before, it takes again.

    Raises:
        UserError: the weights are out of reach.
    """
    data: dict[str, Any] = config["data"]
    name = config["model"].get("pretrained")
    missing = [key for key in KEYS if key in data and data[key] is None]
    if not name or not missing:
        return data
    begun = folder and RunDirectory(folder).manifest_file.is_file()
    before = RunDirectory(folder).manifest.get("data") if folder and begun else None
    known = {k: v for k, v in (before or known_of(name)).items() if v is not None}
    channels = data.get("channels") or known.get("channels")
    if channels != len(known.get("mean", [])):  # of other images than these will be
        missing = [key for key in missing if key not in ("mean", "std")]
    taken = {key: known[key] for key in missing if key in known}
    if taken and not before:
        words = ", ".join(f"data.{key}={_short(value)}" for key, value in taken.items())
        say(f"As the weights of {name} know images: {words}")
    return {**data, **taken}


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ",".join(f"{v:.4g}" for v in value) + "]"
    return str(value)


def known_of(name: str) -> dict[str, Any]:
    """What is known of the images that weights were trained on, by the keys of `data`.

    Args:
        name: `model.pretrained`: a run directory, a safetensors file, a folder of timm or
            transformers, or a hub id.
    """
    place = Path(name).expanduser()
    run = RunDirectory(place)
    if run.config_file.is_file():
        facts = run.manifest.get("data", {})
        return {key: facts[key] for key in KEYS if key in facts}
    if place.is_file():
        told = told_by(place)
        return {key: json.loads(told[key]) for key in KEYS if key in told}
    config = _read(name, "config.json")
    if "architecture" in config:  # timm's
        return _of_timm(config.get("pretrained_cfg", config))
    return _of_transformers(config, _read(name, "preprocessor_config.json"))


def told_by(file: Path) -> dict[str, str]:
    """What a safetensors file says of its weights; nothing where it is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            return dict(opened.metadata() or {})
    except SafetensorError:  # which loading the weights will complain of
        return {}


def _read(name: str, file: str) -> dict[str, Any]:
    found = find_file(name, file)
    if found is None:
        return {}
    content = json.loads(found.read_text())
    return content if isinstance(content, dict) else {}


def _of_timm(told: Mapping[str, Any]) -> dict[str, Any]:
    channels, _, size = told.get("input_size", (None, None, None))
    return {
        "image_size": size,
        "channels": channels,
        "mean": _list(told.get("mean")),
        "std": _list(told.get("std")),
        "eval_crop": told.get("crop_pct"),
    }


def _of_transformers(config: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    tower = config.get("vision_config") or config
    if not told and "image_size" not in tower:
        return {}  # of no images
    side = told.get("crop_size") or told.get("size") or tower.get("image_size")
    mean, crop = _list(told.get("image_mean")), _crop(told)
    return {
        "image_size": tower.get("image_size") or _side(side),  # which the positions were learnt for
        "channels": tower.get("num_channels") or len(mean or "RGB"),
        "mean": mean,
        "std": _list(told.get("image_std")),
        **({"eval_crop": crop} if crop else {}),
    }


def _crop(told: Mapping[str, Any]) -> float | None:
    """Share of the shorter side that a processor keeps; None: it crops nothing."""
    size, kept = _side(told.get("size")), _side(told.get("crop_size"))
    if told.get("crop_pct") and size and size < 384:  # ConvNeXt's, which crops no larger images
        return float(told["crop_pct"])
    crops = told.get("do_center_crop") and size and kept and kept <= size
    return kept / size if crops else None


def _side(size: Any) -> Any:
    """The number of pixels, which processors keep in more ways than one."""
    return size.get("height") or size.get("shortest_edge") if isinstance(size, Mapping) else size


def _list(values: Any) -> list[float] | None:
    return list(values) if values is not None else None
