"""How a function uses its `**kwargs`: passed on to calls, read by key, or in unknown ways."""

import ast
from dataclasses import dataclass

from arclight.config.signatures.modules import Function

# A function that calls one of these can use its arguments without naming them.
_SEES_ALL = {"locals", "save_hyperparameters", "vars"}


@dataclass(frozen=True)
class Uses:
    """What a function does with its `**kwargs`.

    Attributes:
        calls: the calls that they are passed on to, as `**kwargs`.
        keys: the keys that are read by name.
        elsewhere: whether they are used in another way.
    """

    calls: tuple[ast.Call, ...]
    keys: frozenset[str]
    elsewhere: bool


def uses(node: Function, name: str) -> Uses:
    """Finds how the function uses `**name`."""
    inside = [n for s in node.body for n in ast.walk(s)]
    calls = [n for n in inside if isinstance(n, ast.Call)]
    passed_on = tuple(c for c in calls if any(_is(w.value, name) for w in c.keywords if not w.arg))
    keys = [key for n in inside if (key := _read(n, name))]
    times = sum(_is(n, name) for n in inside)
    all_seen = any(_called(call) in _SEES_ALL for call in calls)
    return Uses(passed_on, frozenset(keys), all_seen or times > len(passed_on) + len(keys))


def _is(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _read(node: ast.AST, name: str) -> str | None:
    """The key of `kwargs["key"]`, `kwargs.get("key")`, `kwargs.pop("key")`, `"key" in kwargs`."""
    match node:
        case ast.Subscript(value=ast.Name(id=found), slice=ast.Constant(value=str() as key)):
            return key if found == name else None
        case ast.Call(
            func=ast.Attribute(value=ast.Name(id=found), attr="get" | "pop" | "setdefault"),
            args=[ast.Constant(value=str() as key), *_],
        ):
            return key if found == name else None
        case ast.Compare(left=ast.Constant(value=str() as key), comparators=[ast.Name(id=found)]):
            return key if found == name else None
        case _:
            return None


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""
