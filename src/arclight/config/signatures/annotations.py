"""Check plain config values against annotations, and describe an annotation in words."""

import ast
from collections.abc import Callable
from functools import lru_cache

from arclight.config.signatures.modules import parsed
from arclight.masking import READ
from arclight.ranges import RANGES

IsPart = Callable[[ast.expr], bool]
"""Whether an annotation names a class that only a node with a `_target_` can build."""

LISTS = {
    *("list", "List", "Sequence", "MutableSequence", "Iterable", "Collection", "Container"),
    *("set", "Set", "frozenset", "FrozenSet", "AbstractSet", "deque"),
}
MAPPINGS = {"dict", "Dict", "Mapping", "MutableMapping", "OrderedDict", "defaultdict"}
TUPLES = {"tuple", "Tuple"}


def _no_part(_: ast.expr) -> bool:
    return False


def annotation(text: str) -> ast.expr:
    """Parses an annotation from a string: `annotation("int | None")`."""
    return ast.parse(text, mode="eval").body


def fits(value: object, expected: ast.expr | None, is_part: IsPart = _no_part) -> bool:
    """Whether a plain config value fits an annotation; annotations that are not simple fit all.

    A node with a `_target_` and a value read from the environment fit any annotation, because their
    result is not known here.
    """
    if is_node(value) or (isinstance(value, str) and READ.search(value)):
        return True
    match simplified(expected):
        case ast.Constant(value=None):
            return value is None
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return fits(value, left, is_part) or fits(value, right, is_part)
        case ast.Name(id=name):
            return _fits_name(value, name, is_part)
        case ast.Attribute() as named:
            return named.attr != "Tensor" and not is_part(named)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            return any(type(c) is type(value) and c == value for c in literals(choices))
        case ast.Subscript(value=ast.Name(id=name), slice=item) if name in LISTS:
            return isinstance(value, list) and all(fits(v, item, is_part) for v in value)
        case ast.Subscript(value=ast.Name(id=name), slice=item) if name in TUPLES:
            return isinstance(value, list) and _fits_tuple(value, item, is_part)
        case ast.Subscript(value=ast.Name(id=name), slice=item) if name in MAPPINGS:
            of = item.elts[-1] if isinstance(item, ast.Tuple) else None
            return isinstance(value, dict) and all(fits(v, of, is_part) for v in value.values())
        case _:
            return True


def _fits_name(value: object, name: str, is_part: IsPart) -> bool:
    if name in RANGES:
        return value in RANGES[name]
    match name:
        case "bool":
            return isinstance(value, bool)
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "float":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "str" | "Path":
            return isinstance(value, str)
        case "Tensor":
            return False
        case _ if name in LISTS | TUPLES:
            return isinstance(value, list)
        case _ if name in MAPPINGS:
            return isinstance(value, dict)
        case _:
            return not is_part(ast.Name(id=name))


def is_node(value: object) -> bool:
    """Whether a config value is a node with a `_target_`."""
    return isinstance(value, dict) and "_target_" in value


def has_node(value: object) -> bool:
    """Whether a config value is a node with a `_target_`, or contains one."""
    if is_node(value):
        return True
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(has_node(v) for v in inner)


def _fits_tuple(value: list[object], items: ast.expr, is_part: IsPart) -> bool:
    kinds = items.elts if isinstance(items, ast.Tuple) else [items]
    if len(kinds) == 2 and _is_ellipsis(kinds[1]):
        return all(fits(v, kinds[0], is_part) for v in value)
    return len(value) == len(kinds) and all(
        fits(v, kind, is_part) for v, kind in zip(value, kinds, strict=True)
    )


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


@lru_cache(maxsize=4096)
def simplified(node: ast.expr | None) -> ast.expr | None:
    """Removes strings, module prefixes, `Optional`, `Union` and `Annotated` from an annotation."""
    match node:
        case ast.Constant(value=str() as text):
            return simplified(parsed(text))
        case ast.Attribute(attr=name) if name in _KNOWN:
            return ast.Name(id=name)
        case ast.Subscript(value=head, slice=inner):
            head = simplified(head) or head
            match head, inner:
                case ast.Name(id="Optional"), _:
                    return ast.BinOp(inner, ast.BitOr(), ast.Constant(value=None))
                case ast.Name(id="Union"), ast.Tuple(elts=[first, *others]):
                    joined = first
                    for other in others:
                        joined = ast.BinOp(joined, ast.BitOr(), other)
                    return simplified(joined)
                case ast.Name(id="Union"), _:
                    return simplified(inner)
                case ast.Name(id="Annotated"), ast.Tuple(elts=[first, *_]):
                    return simplified(first)
                case ast.Name(id="Final" | "InitVar" | "Required" | "NotRequired"), _:
                    return simplified(inner)
                case _:
                    return ast.Subscript(head, inner)
        case _:
            return node


def literals(choices: ast.expr) -> list[object]:
    """The values of a `Literal`."""
    nodes = choices.elts if isinstance(choices, ast.Tuple) else [choices]
    return [ast.literal_eval(n) for n in nodes if isinstance(n, ast.Constant | ast.UnaryOp)]


_WORDS = {
    "bool": ("true or false", "values of true or false"),
    "int": ("a whole number", "whole numbers"),
    "float": ("a number", "numbers"),
    "str": ("text", "texts"),
    "Path": ("a path", "paths"),
}
_KNOWN = {
    *("Literal", "Optional", "Union", "Annotated", "Final", "InitVar", "Required", "NotRequired"),
    *(*LISTS, *MAPPINGS, *TUPLES, *_WORDS, *RANGES),
}
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def in_words(expected: ast.expr | None) -> str:
    """Describes an annotation in words: "a whole number or null"."""
    match simplified(expected):
        case ast.Constant(value=None):
            return "null"
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            sides = [in_words(side) for side in (left, right)]
            return " or ".join(words for words in sides if words != "Tensor")
        case ast.Name(id=name):
            return _name_in_words(name)
        case ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            return " or ".join(map(_literal_in_words, literals(choices)))
        case ast.Subscript(value=ast.Name(id=name), slice=item) if name in LISTS:
            return f"a list of {_several(item)}"
        case ast.Subscript(value=ast.Name(id=name), slice=items) if name in TUPLES:
            return _tuple_in_words(items)
        case ast.Subscript(value=ast.Name(id=name), slice=item) if name in MAPPINGS:
            if isinstance(item, ast.Tuple) and _plain(item.elts[-1]):
                return f"a mapping to {_several(item.elts[-1])}"
            return "a mapping"
        case ast.Subscript(value=ast.Name(id=name)):
            return name
        case _:
            return "another type"


def _name_in_words(name: str) -> str:
    if name in RANGES:
        return RANGES[name].words
    if name in _WORDS:
        return _WORDS[name][0]
    if name in LISTS | TUPLES:
        return "a list"
    return "a mapping" if name in MAPPINGS else name


def _literal_in_words(value: object) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain(node: ast.expr) -> bool:
    node = simplified(node) or node
    return isinstance(node, ast.Name) and (node.id in _WORDS or node.id in RANGES)


def _several(item: ast.expr) -> str:
    """The plural: "whole numbers", "numbers of 0 or more", "lists of whole numbers"."""
    simple = simplified(item)
    match simple:
        case ast.Name(id=name) if name in _WORDS:
            return _WORDS[name][1]
        case ast.Name(id=name) if name in RANGES:
            return RANGES[name].words.removeprefix("a ").replace("number", "numbers", 1)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            sides = [_several(side) for side in (left, right)]
            return " or ".join(words for words in sides if words != "Tensor each")
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return "values" if name in ("Any", "object") else f"{name} each"
        case _:
            return in_words(item).replace("a list of", "lists of", 1)


def _tuple_in_words(items: ast.expr) -> str:
    kinds = items.elts if isinstance(items, ast.Tuple) else [items]
    if len(kinds) == 2 and _is_ellipsis(kinds[1]):
        return f"a list of {_several(kinds[0])}"
    if len({ast.dump(kind) for kind in kinds}) == 1 and len(kinds) < len(_NUMBERS):
        return f"a list of {_NUMBERS[len(kinds)]} {_several(kinds[0])}"
    return f"a list of {len(kinds)}: {', '.join(map(in_words, kinds))}"
