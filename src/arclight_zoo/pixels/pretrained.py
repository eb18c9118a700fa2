"""The preprocessing of pretrained weights: image size, crop, channels, mean and std."""

import json
from collections.abc import Mapping
from typing import Any

from arclight.console import say
from arclight.errors import UserError
from arclight.models.pretrained import facts_behind, find_file
from arclight_zoo.pixels.image_facts import PREPROCESSING


def pretrained_preprocessing(name: str) -> dict[str, Any]:
    """The preprocessing that pretrained weights expect, as far as known, by the keys of `data`.

    Args:
        name: `model.pretrained`: a run directory, a file of weights, a folder of timm or
            transformers, or a hub id.

    Raises:
        UserError: the weights are not reachable.
    """
    told = facts_behind(name)
    if told is not None:
        return {key: told[key] for key in PREPROCESSING if key in told}
    config = _read(name, "config.json")
    if "architecture" in config:  # timm's
        return _of_timm(config.get("pretrained_cfg", config))
    return _of_transformers(config, _read(name, "preprocessor_config.json"))


def adopted(
    weights: str, before: Mapping[str, Any] | None, given: Mapping[str, Any]
) -> dict[str, Any]:
    """The preprocessing of pretrained weights for settings that are None; prints it in a new run.

    Args:
        weights: `model.pretrained`.
        before: the facts of a run that is resumed.
        given: the settings in the config, by the keys of `data`.

    Raises:
        UserError: the weights are not reachable.
    """
    missing = [key for key, value in given.items() if value is None]
    if not missing:
        return {}
    found = before or pretrained_preprocessing(weights)
    known = {key: value for key, value in found.items() if value is not None}
    if (given["channels"] or known.get("channels")) != len(known.get("mean", [])):
        missing = [key for key in missing if key not in ("mean", "std")]  # do not apply
    taken = {key: known[key] for key in missing if key in known}
    if taken and not before:
        words = ", ".join(f"data.{key}={_short(value)}" for key, value in taken.items())
        say(f"Preprocessing of the weights {weights}: {words}")
    return taken


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ",".join(f"{v:.4g}" for v in value) + "]"
    return str(value)


def _read(name: str, file: str) -> dict[str, Any]:
    found = find_file(name, file)
    if found is None:
        return {}
    try:
        content = json.loads(found.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{found} is damaged: it is not valid JSON ({error}).") from error
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
        return {}  # not an image model
    side = told.get("crop_size") or told.get("size") or tower.get("image_size")
    mean, crop = _list(told.get("image_mean")), _crop(told)
    return {
        "image_size": tower.get("image_size") or _side(side),  # the positions set it
        "channels": tower.get("num_channels") or len(mean or "RGB"),
        "mean": mean,
        "std": _list(told.get("image_std")),
        **({"eval_crop": crop} if crop else {}),
    }


def _crop(told: Mapping[str, Any]) -> float | None:
    """The fraction of the shorter side that a processor keeps; None if it does not crop."""
    size, kept = _side(told.get("size")), _side(told.get("crop_size"))
    if (
        told.get("crop_pct") and size and size < 384
    ):  # ConvNeXt's processor does not crop larger images
        return float(told["crop_pct"])
    crops = told.get("do_center_crop") and size and kept and kept <= size
    return kept / size if crops else None


def _side(size: Any) -> Any:
    """The number of pixels, from any of the forms that processors use."""
    return size.get("height") or size.get("shortest_edge") if isinstance(size, Mapping) else size


def _list(values: Any) -> list[float] | None:
    return list(values) if values is not None else None
