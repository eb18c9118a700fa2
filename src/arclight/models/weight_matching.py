"""Match the weights of a file with those of a model: by names, their prefixes, and shapes."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor

__all__ = ["AVERAGED", "Matched", "lacking", "matched"]

AVERAGED = re.compile(r"(^|[._])(ema|averaged|teacher)([._]|$)")
"""Names of averaged weights, which usually are better, and are the published ones."""


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


def matched(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Matched:
    """Matches the weights of a file with those of a model.

    Names are compared without the prefixes of wrappers, such as `module.` (DataParallel),
    `_orig_mod.` (compile), or `model.` (a LightningModule). Remaining weights are matched by shape,
    if the shapes have the same order in both, or are unique in each.

    Args:
        weights: the weights of the file.
        own: the weights of the model.
    """
    candidates = list(_renderings(_modern(weights, own), len(own)))
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
        if name in best and name not in fitting
    }
    wanting = {name: tensor for name, tensor in own.items() if name not in best}
    renamed = _by_shape(left, wanting) if left and wanting else {}
    taken = fitting | {name: best[theirs] for name, theirs in renamed.items()}
    used = set(renamed.values())
    return Matched(taken, [n for n in left if n not in used], other, renamed)


def _fits(weights: Mapping[str, Tensor], own: Mapping[str, Tensor], name: str) -> bool:
    return name in weights and weights[name].shape == own[name].shape


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
        return dict(zip(own, theirs, strict=True))
    once = [{s for s, n in Counter(some).items() if n == 1 and s} for some in shapes]
    unique = once[0] & once[1]
    by_shape = {tuple(t.shape): name for name, t in theirs.items()}
    return {n: by_shape[tuple(t.shape)] for n, t in own.items() if tuple(t.shape) in unique}
