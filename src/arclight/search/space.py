"""The space of a search: keys of the config, their candidates and conditions."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from arclight.config.suggest import did_you_mean
from arclight.errors import UserError

Assignment = dict[str, Any]

RANGE = ("low", "high", "log", "step")


@dataclass(frozen=True)
class Parameter:
    """One key of the config and its candidates: a list of choices, or a range of numbers.

    Args:
        key: of the config, such as `optimizer.lr`, or a config group, such as `optimizer`.
        choices: the candidates; empty for a range.
        low, high: bounds of a range.
        log: sample a range on a logarithmic scale.
        step: step size of a range.
        when: earlier keys, with the values for which this parameter exists.
        real: whether a range is one of real numbers, even if its bounds are integers.
    """

    key: str
    choices: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False
    step: float | None = None
    when: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    real: bool = False

    @property
    def bounds(self) -> list[Any]:
        """The values to check against the config: all choices, or both ends."""
        return list(self.choices) if self.choices else [self.low, self.high]

    def is_active(self, assignment: Assignment) -> bool:
        """Whether it exists, given the values of earlier parameters."""
        return all(key in assignment and assignment[key] in values for key, values in self.when)

    def encoded(self) -> list[Any]:
        """The choices as a study can store them: lists and mappings as JSON."""
        return [json.dumps(c) if isinstance(c, list | dict) else c for c in self.choices]

    def decode(self, stored: Any) -> Any:
        """The value for the config, from the value stored in the study."""
        return self.choices[self.encoded().index(stored)] if self.choices else stored

    def points(self) -> list[Any]:
        """All values, for a grid.

        Raises:
            UserError: a range of real numbers has no step.
        """
        if self.choices:
            return self.encoded()
        step = self.step or (None if self.real or self.log else 1)
        if step is None:
            raise UserError(
                f"search.space: {self.key} has no points for a grid; give it choices or a step."
            )
        count = math.floor((self.high - self.low) / step + 1e-8) + 1
        return [self.low + i * step for i in range(count)]


def parse(space: dict[str, Any]) -> list[Parameter]:
    """Parses the parameters of `search.space`, in its order.

    Raises:
        UserError: one line for each invalid parameter.
    """
    found: list[Parameter] = []
    faults: list[str] = []
    for key, node in space.items():
        fault = _fault(node, [p.key for p in found])
        if fault:
            faults.append(f"search.space: {key} {fault}")
        else:
            found.append(_parameter(str(key), node))
    if faults:
        raise UserError("\n".join(faults))
    return found


def _parameter(key: str, node: dict[str, Any]) -> Parameter:
    when = tuple(
        (k, tuple(v) if isinstance(v, list) else (v,)) for k, v in (node.get("when") or {}).items()
    )
    if "choices" in node:
        return Parameter(key, tuple(node["choices"]), when=when)
    numbers = [node["low"], node["high"], node.get("step")]
    return Parameter(
        key,
        low=node["low"],
        high=node["high"],
        log=bool(node.get("log")),
        step=node.get("step"),
        when=when,
        real=any(isinstance(n, float) for n in numbers),
    )


def _fault(node: Any, earlier: list[str]) -> str:
    """The error in the description of a parameter; empty if it is valid."""
    if not isinstance(node, dict):
        return f"is {node}; describe it as {{low: 0.0, high: 1.0}} or {{choices: [a, b]}}."
    known = [*RANGE, "choices", "when"]
    for key in node:
        if key not in known:
            return f"has a key {key}{did_you_mean(str(key), known)}"
    for key in node.get("when") or {}:
        if key not in earlier:
            return f"depends on {key}, which should be a key of the space that comes before it."
    if "choices" in node:
        if any(key in node for key in RANGE):
            return "has choices as well as a range; leave one out."
        choices = node["choices"]
        return "" if isinstance(choices, list) and choices else "should have a list of choices."
    return _fault_of_range(node)


def _fault_of_range(node: dict[str, Any]) -> str:
    low, high, step = node.get("low"), node.get("high"), node.get("step")
    numbers = [n for n in (low, high, step) if n is not None]
    if low is None or high is None:
        return "should have choices, or both low and high."
    if any(isinstance(n, bool) or not isinstance(n, int | float) for n in numbers):
        return f"should have numbers as low, high and step, not {numbers}."
    if not low < high:
        return f"has low={low} and high={high}; low should be less."
    if step is not None and step <= 0:
        return f"has step={step}; it should be more than 0."
    if node.get("log") and step is not None:
        return "has both log and step; leave one out."
    if node.get("log") and low <= 0:
        return f"has low={low} on a logarithmic scale; it should be more than 0."
    return ""


def assignments(parameters: Sequence[Parameter]) -> Iterator[Assignment]:
    """All combinations of the parameters' points; each has only the parameters that exist in it."""
    if not parameters:
        yield {}
        return
    *before, last = parameters
    for assignment in assignments(before):
        values = {p.key: p.decode(assignment[p.key]) for p in before if p.key in assignment}
        if last.is_active(values):
            yield from ({**assignment, last.key: point} for point in last.points())
        else:
            yield assignment


ABSENT = object()


def lookup(config: dict[str, Any], key: str) -> Any:
    """The value under a dotted key, or `ABSENT`."""
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, dict) or part not in node:
            return ABSENT
        node = node[part]
    return node
