"""The facts about a table that a model needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from arclight import Facts
from arclight.data.facts import first_size
from arclight_zoo.gallery.tabular.columns import Columns


@dataclass(frozen=True, kw_only=True)
class TableFacts(Facts):
    """Facts about a table and its target.

    Attributes:
        target: the target column.
        class_names: its classes, in the order of their numbers; empty if it holds numbers.
        mean: of its numbers in the training rows.
        std: of its numbers in the training rows.
        inputs: the fields of `Columns`.
        missing: values that count as empty cells.
        encoding: of csv files; None: UTF-8, unless a byte order mark says otherwise.
    """

    target: str
    class_names: list[str]
    mean: float
    std: float
    inputs: dict[str, Any]
    missing: list[str] = field(default_factory=list)
    encoding: str | None = None

    @property
    def columns(self) -> Columns:
        """How rows are encoded."""
        return Columns(**self.inputs)

    def for_model(self) -> dict[str, Any]:
        return {
            "num_numbers": self.columns.width,
            "cardinalities": self.columns.cardinalities,
            "num_outputs": len(self.class_names) or 1,
        }

    def for_export(self) -> dict[str, Any]:
        return {"target": self.target, "classes": self.class_names, "inputs": self.inputs,
                "mean": self.mean, "std": self.std}  # fmt: skip

    def describe_input(self) -> str:
        return f"{self.columns.width + len(self.columns.categories)} columns"

    @classmethod
    def assumed(cls, model: Mapping[str, Any], data: Mapping[str, Any]) -> Self:
        outputs = first_size("num_outputs", model) or 1
        numbers = [str(i) for i in range(first_size("num_numbers", model))]
        sizes = model.get("cardinalities") or []
        return cls(
            sizes={"train": 1, "val": 1, "test": 1},
            fingerprint="",
            target="target",
            class_names=[str(i) for i in range(outputs)] if outputs > 1 else [],
            mean=0.0,
            std=1.0,
            inputs={
                "numbers": numbers,
                "means": [0.0] * len(numbers),
                "stds": [1.0] * len(numbers),
                "gaps": [],
                "categories": {str(i): ["?"] * (size - 1) for i, size in enumerate(sizes)},
            },
        )
