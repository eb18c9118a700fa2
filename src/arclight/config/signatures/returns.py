"""Read types from annotations: what a function returns, which classes a parameter takes."""

import ast

from arclight.config.signatures.kinds import KINDS, kinds_of_name
from arclight.config.signatures.modules import Definition, Function, Module, ends_in, parsed
from arclight.config.signatures.source import resolve


def returned(function: Definition) -> frozenset[str]:
    """Returns the types in a function's return annotation; `X | None` counts as `X`."""
    assert isinstance(function.node, Function)
    found: set[str] = set()
    for part in alternatives(function.node.returns):
        dotted = function.module.dotted(part)
        found |= kinds_of_name(dotted) or {"?"}
    return frozenset(found or {"?"})


def kind_wanted(annotation: ast.expr | None, module: Module | None) -> str | None:
    """Returns the type in an annotation such as `Mapping[str, Metric]`; None if there is none.

    `Module` and `Transform` are not returned: an object of another type may be one as well.
    """
    if module is None or classes(annotation, module):
        return None
    found: set[str] = set()
    for node in ast.walk(annotation) if annotation else ():
        if isinstance(node, ast.Name | ast.Attribute):
            found |= {KINDS[dotted]} if (dotted := module.dotted(node)) in KINDS else set()
    return found.pop() if len(found) == 1 and not found & {"Module", "Transform"} else None


def classes(annotation: ast.expr | None, module: Module | None) -> frozenset[str]:
    """Returns the canonical names of the classes in a parameter's annotation, in lists too."""
    if module is None:
        return frozenset()
    found: set[str] = set()
    for part in alternatives(annotation):
        if isinstance(part, ast.Subscript):  # list[Callback], type[Net], Callable[..., Net]
            inner = part.slice.elts if isinstance(part.slice, ast.Tuple) else [part.slice]
            for item in inner:
                found |= classes(item, module)
        dotted = module.dotted(part)
        definition = resolve(dotted) if dotted and dotted not in KINDS else None
        if definition and definition.is_class:
            found.add(definition.name)
    return frozenset(found)


def alternatives(annotation: ast.expr | None) -> list[ast.expr]:
    """Returns the members of a union without None: `X` for `X | None` and `Optional[X]`."""
    match annotation:
        case None | ast.Constant(value=None):
            return []
        case ast.Constant(value=str() as text):
            return alternatives(parsed(text))
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return [*alternatives(left), *alternatives(right)]
        case ast.Subscript(value=head, slice=inner) if ends_in(head, "Optional"):
            return alternatives(inner)
        case ast.Subscript(value=head, slice=ast.Tuple(elts=parts)) if ends_in(head, "Union"):
            return [part for side in parts for part in alternatives(side)]
        case ast.Subscript(value=head, slice=ast.Tuple(elts=[first, *_])) if ends_in(
            head, "Annotated"
        ):
            return alternatives(first)
        case _:
            return [annotation]
