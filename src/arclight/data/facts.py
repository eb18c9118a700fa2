"""The facts about the data that a model needs before it is built."""

import dataclasses
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from arclight.errors import UserError

__all__ = ["Facts", "first_size", "read_facts"]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The facts of a dataset as a run uses it. Subclasses add the facts of a kind of data.

    Attributes:
        sizes: the number of samples in "train", "val" and "test".
        fingerprint: the SHA-256 of the samples of the three splits, after preprocessing; if they
            are too large for memory, that of their identity.
        skipped: the number of samples left out because they cannot be read, by split of the source
            (`data.on_error=skip`).
    """

    sizes: dict[str, int]
    fingerprint: str
    skipped: dict[str, int] = field(default_factory=dict)

    def for_model(self) -> dict[str, Any]:
        """Returns arguments for a model's constructor, by the names of its parameters."""
        return {}

    def for_export(self) -> dict[str, Any]:
        """Returns the facts to store in a weights file, as plain values."""
        return {}

    def describe_input(self) -> str:
        """Returns a short description of an example's input, such as `224 px`."""
        return ""

    @classmethod
    def assumed(cls, model: Mapping[str, Any], data: Mapping[str, Any]) -> Self:
        """Returns assumed facts, from the config alone; no data are read.

        Args:
            model: the config's `model`.
            data: the config's `data`.

        Raises:
            NotImplementedError: this kind of data does not support it.
        """
        raise NotImplementedError(f"{cls.__name__} does not define `assumed`")

    def to_dict(self) -> dict[str, Any]:
        """Returns plain containers for the manifest; `kind` is the dotted name of the class."""
        kind = type(self)
        return {"kind": f"{kind.__module__}.{kind.__qualname__}", **dataclasses.asdict(self)}


@dataclass(frozen=True, kw_only=True)
class PlainFacts(Facts):
    """The facts of a plain Lightning data module; a task does not get them.

    `sizes` has the known stages, and the fingerprint is that of the training data.
    """


def read_facts(plain: Mapping[str, Any]) -> Facts:
    """Reads the facts in a manifest.

    Raises:
        UserError: their class is not from one of the project's packages, or a value is missing or
            has the wrong type.
    """
    from arclight.config.checks.allowed import require
    from arclight.config.signatures.annotations import fits
    from arclight.config.signatures.signature import parameters

    own = tuple(f"{k.__module__}.{k.__qualname__}" for k in (Facts, PlainFacts))
    require(plain.get("kind"), also=own)
    module, _, name = plain["kind"].rpartition(".")
    kind = getattr(importlib.import_module(module), name)
    if not issubclass(kind, Facts):
        raise UserError(f"{plain['kind']} in a run's manifest is not a subclass of arclight.Facts.")
    values = {key: value for key, value in plain.items() if key != "kind"}
    known = parameters(plain["kind"])
    wrong = [k for k, v in values.items() if k not in known or not fits(v, known[k].annotation)]
    missing = [k for k, one in known.items() if one.required and k not in values]
    if wrong or missing:
        raise UserError(f"the facts of its data are damaged: {', '.join([*wrong, *missing])}.")
    facts: Facts = kind(**values)
    return facts


def first_size(key: str, *places: Mapping[str, Any]) -> int:
    """Returns the first integer under this key in the mappings, or 0."""
    return next((p[key] for p in places if isinstance(p.get(key), int)), 0)
