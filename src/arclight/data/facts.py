"""What a model must know about the data before it is built."""

import dataclasses
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from arclight.errors import UserError

__all__ = ["Facts", "first_size", "read_facts"]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The facts of a data set as a run uses it. A kind of data may add its own in a subclass.

    Attributes:
        sizes: samples in "train", "val" and "test".
        fingerprint: SHA-256 over the samples of the three splits, as they are served; over what
            identifies them where they are too large for memory.
        skipped: samples left out because they cannot be read, by the source's splits
            (`data.on_error=skip`).
    """

    sizes: dict[str, int]
    fingerprint: str
    skipped: dict[str, int] = field(default_factory=dict)

    def for_model(self) -> dict[str, Any]:
        """What a model's constructor may need, under its parameters' names."""
        return {}

    def for_export(self) -> dict[str, Any]:
        """What a file of weights should tell of the data, in plain values."""
        return {}

    def describe_input(self) -> str:
        """One example's input in a few words, such as `224 px`."""
        return ""

    @classmethod
    def assumed(cls, model: Mapping[str, Any], data: Mapping[str, Any]) -> Self:
        """What data of these sizes would say, from the config alone: nothing is read.

        Args:
            model: the config's `model`.
            data: the config's `data`.

        Raises:
            NotImplementedError: this kind of data cannot be imagined.
        """
        raise NotImplementedError(f"{cls.__name__} does not define `assumed`")

    def to_dict(self) -> dict[str, Any]:
        """Plain containers, as the manifest keeps them; `kind` is the path of the class."""
        kind = type(self)
        return {"kind": f"{kind.__module__}.{kind.__qualname__}", **dataclasses.asdict(self)}


@dataclass(frozen=True, kw_only=True)
class PlainFacts(Facts):
    """What was seen of data that say nothing of themselves; a task is not told of it.

    `sizes` has the stages that are known, and the fingerprint is that of the training data.
    """


def read_facts(plain: Mapping[str, Any]) -> Facts:
    """The facts that a manifest keeps.

    Raises:
        UserError: their class is not one of an owned package, or a value is not as it says.
    """
    from arclight.config.allowed import require
    from arclight.config.annotations import fits
    from arclight.config.signature import parameters

    own = tuple(f"{k.__module__}.{k.__qualname__}" for k in (Facts, PlainFacts))
    require(plain.get("kind"), also=own)
    module, _, name = plain["kind"].rpartition(".")
    kind = getattr(importlib.import_module(module), name)
    if not issubclass(kind, Facts):
        raise UserError(f"{plain['kind']} in a run's manifest is no kind of arclight.Facts.")
    told = {key: value for key, value in plain.items() if key != "kind"}
    known = parameters(plain["kind"])
    wrong = [k for k, v in told.items() if k not in known or not fits(v, known[k].annotation)]
    missing = [k for k, one in known.items() if one.required and k not in told]
    if wrong or missing:
        raise UserError(f"the facts of its data are damaged: {', '.join([*wrong, *missing])}.")
    facts: Facts = kind(**told)
    return facts


def first_size(key: str, *places: Mapping[str, Any]) -> int:
    """The first number under this key, or 0."""
    return next((p[key] for p in places if isinstance(p.get(key), int)), 0)
