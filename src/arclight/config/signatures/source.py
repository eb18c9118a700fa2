"""Find the definition of a dotted name in source files, without importing them.

Importing a model imports torch, which takes seconds; reading its file takes a millisecond. This
follows re-exports (`from x import A as B`, `import x as y`, star imports; also in `if` and `try`
blocks and in `__init__.py`), assigned names (`B = A`), nested classes and class methods. It cannot
find what is created at run time or written in C.
"""

import ast
from typing import TypeGuard

from arclight.config.signatures.modules import (
    Definition,
    Function,
    Module,
    has_decorator,
    load,
    locate,
    text,
)


def resolve(target: str, _seen: frozenset[str] = frozenset()) -> Definition | None:
    """Returns the definition of a dotted name; None if the source does not tell.

    Raises:
        UserError: a file of the project's own packages is not valid Python.
    """
    parts = target.split(".")
    longest = True
    for length in range(len(parts) - 1, 0, -1):
        module, path = load(".".join(parts[:length])), parts[length:]
        # A bound name wins over a submodule of that name, unless it comes from a star import.
        if module and (longest or path[0] in module.names):
            if found := _member(module, path, _seen):
                return found
            longest = False
    return None


def _member(module: Module, path: list[str], seen: frozenset[str]) -> Definition | None:
    name, *rest = path
    query = f"{module.name}:{'.'.join(path)}"
    if query in seen:
        return None
    seen |= {query}
    for binding in module.names.get(name, ()):
        found: Definition | None = None
        if isinstance(binding, str):
            found = resolve(".".join([binding, *rest]), seen)
        elif isinstance(binding, ast.ClassDef):
            found = _nested(module, binding, name, rest)
        elif isinstance(binding, Function):
            found = None if rest else module.definition(binding, name)
        elif dotted := module.dotted(binding) if _is_name(binding) else None:
            found = resolve(".".join([dotted, *rest]), seen)
        if found:
            return found
    for star in () if name.startswith("_") else module.stars:
        origin = load(star) if _mentions(star, name) else None
        if origin and (found := _member(origin, path, seen)):
            return found
    return None


def _nested(
    module: Module, node: ast.ClassDef, qualname: str, path: list[str]
) -> Definition | None:
    for place, name in enumerate(path, 1):
        inner = next((n for n in node.body if isinstance(n, ast.ClassDef) and n.name == name), None)
        if inner is None:
            last = place == len(path)
            made_by = next((n for n in node.body if last and _makes(n, name)), None)
            if made_by is None:
                return None
            return module.definition(made_by, f"{qualname}.{name}")
        node, qualname = inner, f"{qualname}.{name}"
    return module.definition(node, qualname)


def _makes(node: ast.stmt, name: str) -> TypeGuard[Function]:
    """Whether it is the class method or static method of that name."""
    return (
        isinstance(node, Function)
        and node.name == name
        and (has_decorator(node, "classmethod") or has_decorator(node, "staticmethod"))
    )


def _is_name(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) or (isinstance(node, ast.Attribute) and _is_name(node.value))


def _mentions(module: str, name: str) -> bool:
    """Whether a module's text mentions the name: parsing hundreds of files would take seconds."""
    path = locate(module)
    if path is None:
        return False
    found = text(path, path.stat().st_mtime_ns)
    return name in found or "import *" in found
