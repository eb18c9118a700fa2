"""Read weights from files in many formats: safetensors, and the tensors of `torch.save`."""

from argparse import Namespace
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arclight.errors import UserError

__all__ = ["Matched", "matched", "read_weights"]

SUFFIXES = (".safetensors", ".pt", ".pth", ".th", ".bin", ".ckpt", ".tar")
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")
"""Keys of the weights in a checkpoint that also has an optimizer's state and the like."""

_NUMBERS: list[Any] = [np.dtype, np.float64(0).__reduce__()[0], type(np.dtype("f8"))]
"""Types that training scripts save beside weights: numpy numbers, for example of a score."""

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Matched:
    """How the weights of a file match a model.

    Attributes:
        taken: the matching weights, by the model's names.
        left_out: names in the file that the model does not have.
        other_shape: the shapes in the file and in the model, for names in both that differ.
        renamed: the file's names by the model's, for weights that were matched by shape.
    """

    taken: Weights
    left_out: list[str] = field(default_factory=list)
    other_shape: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)


def read_weights(file: Path, what: str) -> Weights:
    """Reads the tensors of a file by name; no code in it is run.

    A checkpoint may have them under `state_dict`, `model` and the like.

    Args:
        file: a safetensors file, or one written by `torch.save`.
        what: the name of the file in errors, such as `model.pretrained=FILE`.

    Raises:
        UserError: the file is damaged, contains more than plain data, or has no tensors.
    """
    if file.suffix == ".safetensors" or _is_safetensors(file):
        from safetensors.torch import load_file

        try:
            return load_file(file)
        except Exception as error:  # safetensors raises its own error type
            raise UserError(
                f"{what} cannot be read as safetensors ({error}): replace it."
            ) from error
    try:
        with torch.serialization.safe_globals([Namespace, *_NUMBERS]):
            kept = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds: of pickle, zip and torch
        if "nsupported global" in str(error):  # a class or function that is not plain data
            raise UserError(
                f"{what} holds more than plain tensors, and code in a file is not run: save "
                "model.state_dict() alone, by safetensors or torch.save."
            ) from error
        raise UserError(
            f"{what} cannot be read as weights ({_short(error)}): name a file with a state dict, "
            f"such as {', '.join(SUFFIXES[:3])}."
        ) from error
    weights = _unwrapped(kept)
    if not weights:
        raise UserError(f"{what} holds no tensors by name: save model.state_dict() in it.")
    return weights


def _is_safetensors(file: Path) -> bool:
    """Whether it begins as one does: the length of a JSON header, then its brace."""
    with file.open("rb") as opened:
        return opened.read(9)[8:9] == b"{"


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120].rstrip(".") or type(error).__name__


def _unwrapped(kept: Any) -> Weights:
    while isinstance(kept, Mapping):
        tensors = {str(k): v for k, v in kept.items() if isinstance(v, Tensor)}
        inner = next((kept[k] for k in _WRAPPERS if isinstance(kept.get(k), Mapping)), None)
        if inner is None:
            return tensors
        kept = inner
    return {}


def matched(weights: Weights, own: Mapping[str, Tensor]) -> Matched:
    """Matches the weights of a file with those of a model.

    Names are compared without the prefixes of wrappers, such as `module.` (DataParallel),
    `_orig_mod.` (compile), or `model.` (a LightningModule). Remaining weights are matched by shape,
    if the shapes have the same order in both, or are unique in each.

    Args:
        weights: the weights of the file.
        own: the weights of the model.
    """
    candidates = _renderings(weights)
    outer = {name.partition(".")[0] for name in own}
    if len(outer) == 1:  # the model is wrapped itself
        candidates += [{f"{o}.{n}": t for n, t in w.items()} for w in candidates for o in outer]
    best = max(candidates, key=lambda w: sum(_fits(w, own, name) for name in own))
    fitting = {name: best[name] for name in own if _fits(best, own, name)}
    left = {name: tensor for name, tensor in best.items() if name not in own}
    other = {
        name: (tuple(best[name].shape), tuple(own[name].shape))
        for name in own
        if name in best and name not in fitting
    }
    wanting = {name: tensor for name, tensor in own.items() if name not in best}
    renamed = _by_shape(left, wanting) if left and wanting else {}
    taken = fitting | {name: best[theirs] for name, theirs in renamed.items()}
    used = set(renamed.values())
    return Matched(taken, [n for n in left if n not in used], other, renamed)


def _fits(weights: Weights, own: Mapping[str, Tensor], name: str) -> bool:
    return name in weights and weights[name].shape == own[name].shape


def _renderings(weights: Weights) -> list[Weights]:
    """The weights by name, and by the names without each common first part."""
    found = [weights]
    while True:
        last = found[-1]
        counts = Counter(name.partition(".")[0] for name in last if "." in name)
        first = counts.most_common(1)
        if not first or len(found) > 4:
            return found
        prefix = f"{first[0][0]}."
        if 2 * first[0][1] < len(last):
            return found
        found.append({name.removeprefix(prefix): tensor for name, tensor in last.items()})


def _by_shape(theirs: Weights, own: Mapping[str, Tensor]) -> dict[str, str]:
    """Maps the model's names to the file's where shapes identify them."""
    shapes = [tuple(t.shape) for t in theirs.values()], [tuple(t.shape) for t in own.values()]
    if shapes[0] == shapes[1]:  # both are in the order in which the layers were made
        return dict(zip(own, theirs, strict=True))
    once = [{s for s, n in Counter(some).items() if n == 1 and s} for some in shapes]
    unique = once[0] & once[1]
    by_shape = {tuple(t.shape): name for name, t in theirs.items()}
    return {n: by_shape[tuple(t.shape)] for n, t in own.items() if tuple(t.shape) in unique}
