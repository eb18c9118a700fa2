"""The method resolution order of a class, and how its classes are constructed."""

import ast
from collections.abc import Iterator
from functools import lru_cache

from arclight.config.signatures.kinds import KINDS, NEUTRAL
from arclight.config.signatures.modules import Definition, Function, ends_in
from arclight.config.signatures.source import resolve

# Types with constructors that take no arguments.
_BARE = {"Module", "LightningModule", "LightningDataModule", "Callback", "Logger", "Dataset"}
_BARE |= {"Transform"}

Lineage = tuple[Definition | str, ...]
"""A class and its bases in method resolution order; a string is a base without source."""


@lru_cache(maxsize=1024)
def lineage(found: Definition) -> Lineage:
    """Returns the class and its bases in method resolution order."""
    lists: list[list[Definition | str]] = []
    direct: list[Definition | str] = []
    for dotted in found.bases():
        base = None if dotted is None or is_bare(dotted) else resolve(dotted)
        if base is None or base is found or not base.is_class:
            direct.append(dotted or "?")
            lists.append([dotted or "?"])
        else:
            direct.append(base)
            lists.append(list(lineage(base)))
    return (found, *_merge([*lists, direct]))


def _merge(lists: list[list[Definition | str]]) -> Iterator[Definition | str]:
    """Merges by Python's C3 linearization; if that is impossible, keeps the order as written."""
    while lists := [names for names in lists if names]:
        heads = [names[0] for names in lists]
        head = next((h for h in heads if not any(h in names[1:] for names in lists)), heads[0])
        yield head
        lists = [[name for name in names if name != head] for names in lists]


def is_bare(dotted: str) -> bool:
    """Whether the class is known, by name, to have a constructor without arguments."""
    return dotted in NEUTRAL or KINDS.get(dotted) in _BARE or dotted.endswith(".object")


def method(node: ast.ClassDef, name: str) -> Function | None:
    """The method of this name that the class itself defines, if any."""
    methods = [n for n in node.body if isinstance(n, Function) and n.name == name]
    plain = [n for n in methods if not any(ends_in(d, "overload") for d in n.decorator_list)]
    return plain[-1] if plain else None


def takes_anything(function: Function) -> bool:
    """Whether the signature is `(cls, *args, **kwargs)`, which says nothing about its keywords."""
    given = function.args
    return bool(given.vararg and given.kwarg) and len(given.posonlyargs + given.args) == 1


def assigned(node: ast.ClassDef) -> set[str]:
    """The names that the class body assigns."""
    targets = [t for n in node.body if isinstance(n, ast.Assign) for t in n.targets]
    return {t.id for t in targets if isinstance(t, ast.Name)}


def is_dataclass(node: ast.ClassDef) -> bool:
    """Whether the constructor takes the fields: a dataclass, attrs class or NamedTuple."""
    for decorator in node.decorator_list:
        if any(ends_in(decorator, name) for name in ("dataclass", "define", "frozen", "attrs")):
            keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
            return not any(k.arg == "init" and is_false(k.value) for k in keywords)
    return any(ends_in(base, "NamedTuple") for base in node.bases)


def is_false(node: ast.expr) -> bool:
    """Whether the expression is the literal `False`."""
    return isinstance(node, ast.Constant) and node.value is False
