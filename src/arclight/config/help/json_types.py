"""Translate annotations into JSON schemas."""

import ast
from typing import Any

from arclight.config.signatures.annotations import LISTS, MAPPINGS, TUPLES, literals, simplified
from arclight.ranges import RANGES, Range

_PLAIN = {
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "str": {"type": "string"},
    "Path": {"type": "string"},
}


def json_type(expected: ast.expr | None) -> dict[str, Any]:
    """Returns the schema of the values that fit an annotation; empty: any value.

    It agrees with `annotations.fits` as far as JSON schemas allow.
    """
    match simplified(expected):
        case ast.Constant(value=None):
            return {"type": "null"}
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _either([json_type(left), json_type(right)])
        case ast.Name(id=name) if name in RANGES:
            return _of_range(name)
        case ast.Name(id=name) if name in _PLAIN:
            return _PLAIN[name]
        case ast.Name(id=name) if name in LISTS | TUPLES:
            return {"type": "array"}
        case ast.Name(id=name) if name in MAPPINGS:
            return {"type": "object"}
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            return {"enum": literals(choices)}
        case ast.Subscript(value=ast.Name(id=name), slice=item) if name in LISTS:
            return {"type": "array", "items": json_type(item)}
        case ast.Subscript(value=ast.Name(id=name), slice=items) if name in TUPLES:
            return _of_tuple(items)
        case ast.Subscript(value=ast.Name(id=name)) if name in MAPPINGS:
            return {"type": "object"}
        case _:
            return {}


def _either(sides: list[dict[str, Any]]) -> dict[str, Any]:
    if not all(sides):  # one fits anything
        return {}
    flat = [one for side in sides for one in (side["anyOf"] if set(side) == {"anyOf"} else [side])]
    return {"anyOf": flat}


def _of_range(name: str) -> dict[str, Any]:
    found = RANGES[name]
    if not isinstance(found, Range):
        return {"type": "string", "pattern": f"^({found.pattern})$"}
    low = "exclusiveMinimum" if found.open else "minimum"
    high = {"maximum": found.high} if found.high != float("inf") else {}
    return {"type": "integer" if found.whole else "number", low: found.low, **high}


def _of_tuple(items: ast.expr) -> dict[str, Any]:
    kinds = items.elts if isinstance(items, ast.Tuple) else [items]
    if len(kinds) == 2 and isinstance(kinds[1], ast.Constant) and kinds[1].value is ...:
        return {"type": "array", "items": json_type(kinds[0])}
    each = [json_type(kind) for kind in kinds]
    return {"type": "array", "items": each, "minItems": len(each), "maxItems": len(each)}
