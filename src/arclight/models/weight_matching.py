"""Match the weights of a file with those of a model: by names, their prefixes, and shapes."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

__all__ = ["AVERAGED", "Matched", "changed_weights", "lacking", "matched"]

AVERAGED = re.compile(r"(^|[._])(ema|averaged|teacher)([._]|$)")
"""Names of averaged weights, which usually are better, and are the published ones."""

_WITHIN = re.compile(
    r"(?<![^.])(module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
_QUANTISED = "holds quantised weights ({}): name a file with weights in floating point."
_CHANGED = {
    r"\.lora_\w+(\.|$)": "holds adapters ({}): before saving, call merge_and_unload() of peft.",
    r"\.(parametrizations\..+|weight_[gv])$": "holds factors of a weight ({}): before saving, call "
    "torch.nn.utils.parametrize.remove_parametrizations, or remove_weight_norm.",
    r"\.weight_(orig|mask)$": "holds a pruned weight ({}): before saving, call "
    "torch.nn.utils.prune.remove.",
    r"(^|[._])(zero_points?|qzeros|qweight|absmax|_packed_params)($|[._])": _QUANTISED,
}
"""Names of weights from which a model computes those that it uses; each alone would be wrong."""
_KINDS = {
    "weight": "weight",
    "gamma": "weight",
    "bias": "bias",
    "beta": "bias",
    "running_mean": "mean",
    "moving_mean": "mean",
    "running_var": "variance",
    "moving_variance": "variance",
}
"""What the last part of a name means; kinds that differ are never matched by shape."""


@dataclass(frozen=True)
class Matched:
    """How the weights of a file match a model.

    Attributes:
        taken: the matching weights, by the model's names.
        left_out: names in the file that the model does not have.
        other_shape: the shapes in the file and in the model, for names in both that differ.
        renamed: the file's names by the model's, for weights that were matched by shape.
    """

    taken: dict[str, Tensor]
    left_out: list[str] = field(default_factory=list)
    other_shape: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)


def lacking(found: Matched, own: Mapping[str, Tensor]) -> list[str]:
    """The model's weights that a file does not provide.

    Other names of tied weights do not count, nor do integers: counters and indices, which the model
    creates itself.
    """
    taken = {own[name].data_ptr() for name in found.taken if own[name].numel()}
    return sorted(
        name
        for name, tensor in own.items()
        if name not in found.taken and tensor.is_floating_point()
        if tensor.data_ptr() not in taken
    )


def changed_weights(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str | None:
    """Says what to do with weights that cannot be used as they are; None if they can.

    Args:
        weights: the weights of a file.
        own: the weights of the model.
    """
    for pattern, sentence in _CHANGED.items():
        names = [name for name in weights if re.search(pattern, name)]
        if names and not any(re.search(pattern, name) for name in own):
            return sentence.format(names[0])
    whole = (torch.int8, torch.uint8)
    for name, tensor in weights.items():
        if tensor.is_quantized or (tensor.dtype in whole and name.endswith("weight")):
            return _QUANTISED.format(name)
    return None


def matched(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Matched:
    """Matches the weights of a file with those of a model.

    Names are compared without the prefixes of wrappers, such as `module.` (DataParallel),
    `_orig_mod.` (compile), or `model.` (a LightningModule). Remaining weights are matched by shape,
    if the shapes have the same order in both, or are unique in each.

    Args:
        weights: the weights of the file.
        own: the weights of the model.
    """
    modern = _modern(weights, own)
    candidates = list(_renderings(modern, len(own)))
    if any(_WITHIN.search(name) for name in modern):  # parts of the model are wrapped
        bare = {_WITHIN.sub("", name): tensor for name, tensor in modern.items()}
        candidates += list(_renderings(bare, len(own)))
    outer = {name.partition(".")[0] for name in own}
    if len(outer) == 1:  # the model itself is wrapped
        candidates += [{f"{o}.{n}": t for n, t in w.items()} for w in candidates for o in outer]
    fits = [sum(_fits(w, own, name) for name in own) for w in candidates]
    best = next(w for w, count in zip(candidates, fits, strict=True) if count == max(fits))
    fitting = {name: best[name] for name in own if _fits(best, own, name)}
    left = {name: tensor for name, tensor in best.items() if name not in own}
    other = {
        name: (tuple(best[name].shape), tuple(own[name].shape))
        for name in own
        if name in best and best[name].shape != own[name].shape
    }
    wanting = {name: tensor for name, tensor in own.items() if name not in best}
    renamed = _by_shape(left, wanting) if left and wanting else {}
    taken = fitting | {name: best[theirs] for name, theirs in renamed.items()}
    used = set(renamed.values())
    return Matched(taken, [n for n in left if n not in used], other, renamed)


def _fits(weights: Mapping[str, Tensor], own: Mapping[str, Tensor], name: str) -> bool:
    found = weights.get(name)
    if found is None or found.shape != own[name].shape:
        return False
    return found.is_floating_point() or not own[name].is_floating_point()


def _modern(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights with `gamma` and `beta` of layer norms renamed to `weight` and `bias`."""
    found = dict(weights)
    for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
        if not any(name.endswith(old) for name in own):
            found = {re.sub(rf"\{old}$", new, name): tensor for name, tensor in found.items()}
    return found


def _renderings(
    weights: dict[str, Tensor], most: int, depth: int = 5
) -> Iterator[dict[str, Tensor]]:
    """Yields the weights by their names, and by names without a prefix that many of them share.

    Args:
        weights: by name.
        most: a prefix counts if at least half of this number, or half of all weights, have it.
        depth: the maximum number of removed prefixes.
    """
    yield weights
    counts = Counter(name.partition(".")[0] for name in weights if "." in name)
    many = [first for first, n in counts.items() if 2 * n >= min(most, len(weights))]
    for first in sorted(many, key=lambda first: (not AVERAGED.search(first), -counts[first])):
        if depth:
            bare = {name.removeprefix(f"{first}."): tensor for name, tensor in weights.items()}
            inner = {name: tensor for name, tensor in bare.items() if name not in weights}
            rest = {name: tensor for name, tensor in weights.items() if name in bare}
            yield from ({**rest, **one} for one in _renderings(inner, most, depth - 1))


def _by_shape(theirs: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, str]:
    """Maps the model's names to the file's where shapes identify them."""
    shapes = [tuple(t.shape) for t in theirs.values()], [tuple(t.shape) for t in own.values()]
    if shapes[0] == shapes[1]:  # both are in the order in which the layers were created
        pairs = dict(zip(own, theirs, strict=True))
        return pairs if all(_may_be(*pair) for pair in pairs.items()) else {}
    once = [{s for s, n in Counter(some).items() if n == 1 and s} for some in shapes]
    unique = once[0] & once[1]
    by_shape = {tuple(t.shape): name for name, t in theirs.items()}
    found = {n: by_shape[tuple(t.shape)] for n, t in own.items() if tuple(t.shape) in unique}
    return {name: other for name, other in found.items() if _may_be(name, other)}


def _may_be(own: str, other: str) -> bool:
    """Whether the last parts of two names do not say that they are of different kinds."""
    kinds = [_KINDS.get(name.rpartition(".")[2]) for name in (own, other)]
    return None in kinds or kinds[0] == kinds[1]
