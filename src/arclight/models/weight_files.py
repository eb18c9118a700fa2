"""Read weights from files in many formats: safetensors, and the tensors of `torch.save`."""

import datetime
import pathlib
import re
import zipfile
from argparse import Namespace
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arclight.errors import UserError
from arclight.models.weight_matching import AVERAGED, changed_weights, matched
from arclight.reading import require_regular

__all__ = ["Weights", "read_weights"]

SUFFIXES = (".safetensors", ".pt", ".pth", ".th", ".bin", ".ckpt", ".tar")
_PLAIN: list[Any] = [
    *(list, dict, set, tuple, int, float, str, bool, Counter, defaultdict),
    *(Namespace, SimpleNamespace, datetime.datetime, datetime.date, datetime.timedelta),
    *(pathlib.PurePosixPath, pathlib.PosixPath),
    *(np.dtype, np.ndarray, np.float64(0).__reduce__()[0], np.ones(1).__reduce__()[0]),
    *(type(np.dtype(code)) for code in ("e", "f", "d", "?", "U", "S", "O")),
    *(type(np.dtype(code)) for code in ("b", "h", "i", "l", "B", "H", "I", "L")),
]
"""Types that training scripts save beside weights: arguments, times, paths, numpy's numbers."""


class Weights(dict[str, Tensor]):
    """Tensors by name.

    Attributes:
        part: their key in the file, such as `state_dict`; empty: the file has only weights.
        others: other keys of the file that have weights too.
    """

    part: str = ""
    others: tuple[str, ...] = ()


def read_weights(file: Path, what: str, own: Mapping[str, Tensor] | None = None) -> Weights:
    """Reads the tensors of a file by name; no code in it is run.

    A checkpoint may have them under `state_dict`, `model` or any other key. If there are several,
    those that fit the model best are used, and among equals the average (`state_dict_ema`,
    `teacher`).

    Args:
        file: a safetensors file, or one written by `torch.save`.
        what: the name of the file in errors, such as `model.pretrained=FILE`.
        own: the model's state dict; None: the largest weights are used.

    Raises:
        UserError: the file is damaged, contains more than plain data, or has no tensors.
    """
    require_regular(file)
    if file.suffix == ".safetensors" or _is_safetensors(file):
        from safetensors.torch import load_file

        try:
            return Weights(load_file(file))
        except Exception as error:  # safetensors raises its own error type
            raise UserError(
                f"{what} cannot be read as safetensors ({error}): replace it."
            ) from error
    if said := _no_checkpoint(file):
        raise UserError(f"{what} {said}")
    try:
        with torch.serialization.safe_globals(_PLAIN):
            kept = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch raise many error types
        if "nsupported global" in str(error):  # a class or function that is not plain data
            found = re.search(r"GLOBAL (\S+)", str(error))
            named = f" (a {found[1]})" if found else ""
            raise UserError(
                f"{what} holds more than plain tensors{named}, and code in a file is not run: save "
                "model.state_dict() alone, by safetensors or torch.save."
            ) from error
        raise UserError(
            f"{what} cannot be read as weights ({_reason(error)}): name a file with a state dict, "
            f"such as {', '.join(SUFFIXES[:3])}."
        ) from error
    weights = _unwrapped(kept, own)
    if not weights:
        raise UserError(f"{what} holds no tensors by name: save model.state_dict() in it.")
    if changed := changed_weights(weights, own or {}):
        raise UserError(f"{what} {changed}")
    return weights


def _is_safetensors(file: Path) -> bool:
    """Whether it begins like a safetensors file: the length of a JSON header, then its brace."""
    with file.open("rb") as opened:
        return opened.read(9)[8:9] == b"{"


def _reason(error: Exception) -> str:
    """The cause in one short line."""
    if "eights only load failed" in str(error):  # a page of advice surrounds the cause
        found = re.search(r"WeightsUnpickler error:\s*(.+)", str(error))
        unknown = found is None or "Unsupported operand" in found[1]
        return "torch.save did not write it" if unknown else found[1].strip()[:120]  # type: ignore
    return " ".join(str(error).split())[:120].rstrip(".") or type(error).__name__


def _no_checkpoint(file: Path) -> str | None:
    """Describes a file that `torch.save` did not write; None if it may have written it."""
    with file.open("rb") as opened:
        begin = opened.read(200).lstrip().lower()
    if not begin:
        return "is empty: replace it."
    if begin.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not weights: type git lfs pull in its repository."
    if begin.startswith((b"<!doctype", b"<html")):
        return "is a web page, not weights: download the file itself."
    return _no_plain_archive(file) if zipfile.is_zipfile(file) else None


def _no_plain_archive(file: Path) -> str | None:
    """Describes a zip file that `torch.save` did not write; None if it may have written it."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError):
        return "is a damaged zip file: replace it."
    if any(one.filename.endswith("constants.pkl") for one in members):
        return (
            "is a TorchScript archive, and code in a file is not run: save "
            "torch.jit.load(FILE).state_dict() by torch.save."
        )
    if any(one.compress_type != zipfile.ZIP_STORED for one in members):
        return "is a compressed zip file, which could fill the memory: save it by torch.save."
    return None


def _unwrapped(kept: Any, own: Mapping[str, Tensor] | None) -> Weights:
    """The tensors in the part of a checkpoint that has the model's weights."""
    parts = {path: tensors for path, tensors in _parts(kept, ()) if tensors}
    if not parts:
        return Weights()
    most = max(map(len, parts.values()))
    averaged = [path for path in parts if AVERAGED.search(".".join(path))]
    first = [path for path in averaged if len(parts[path]) == most]
    order = [*first, *sorted(parts, key=lambda path: (-len(parts[path]), path in averaged))]
    chosen = order[0]
    if own is not None and len(parts) > 1:
        chosen = max(order, key=lambda path: len(matched(parts[path], own).taken))
    found = Weights(parts[chosen])
    found.part = ".".join(chosen)
    some = (path for path in parts if path != chosen and 2 * len(parts[path]) > most)
    found.others = tuple(".".join(path) for path in some)
    return found


def _parts(kept: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """The mappings of a checkpoint with the tensors in each, except optimizer states."""
    if isinstance(kept, list | tuple):
        kept = {str(i): one for i, one in enumerate(kept) if isinstance(one, Mapping)}
    if not isinstance(kept, Mapping) or "param_groups" in kept or len(path) > 3:
        return
    arrays = {str(k): _as_tensor(v) for k, v in kept.items() if not isinstance(v, Mapping)}
    yield path, {name: tensor for name, tensor in arrays.items() if tensor is not None}
    for key, value in kept.items():
        yield from _parts(value, (*path, str(key)))


def _as_tensor(value: Any) -> Tensor | None:
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return torch.from_numpy(value)
    return value if isinstance(value, Tensor) else None
