"""Read the parameters of a target from its source, without importing it.

The parameters of a class are those of its constructor: its own, or that of the first base that has
one. `**kwargs` are replaced by the parameters of the call that they are passed on to. Where the
source does not tell, the signature is open: any keyword passes until the target is imported.
"""

import ast
from dataclasses import dataclass, field, replace
from functools import lru_cache

from arclight.config.signatures.forwarding import uses
from arclight.config.signatures.lineage import (
    Lineage,
    assigned,
    is_bare,
    is_dataclass,
    is_false,
    lineage,
    method,
    takes_anything,
)
from arclight.config.signatures.modules import Definition, Function, Module, ends_in, has_decorator
from arclight.config.signatures.source import resolve


@dataclass(frozen=True)
class Parameter:
    """One parameter of a target.

    Attributes:
        name: its keyword.
        annotation: its annotation as written, if any.
        required: whether it must be given.
        module: the module of the annotation, if known.
    """

    name: str
    annotation: ast.expr | None
    required: bool
    module: Module | None = None


@dataclass(frozen=True)
class Signature:
    """The parameters of a target.

    Attributes:
        parameters: the parameters that may be given by keyword, by name.
        positional: the names of the positional parameters, in order.
        variadic: whether any number of positional arguments may be given.
        open: whether there may be more parameters than the source tells.
    """

    parameters: dict[str, Parameter] = field(default_factory=dict)
    positional: tuple[str, ...] = ()
    variadic: bool = False
    open: bool = False


OPEN = Signature(variadic=True, open=True)


def signature(target: str) -> Signature:
    """Returns the signature of a class or function such as `arclight_zoo.image.cnn.CNN`.

    Raises:
        UserError: a file of the project's own packages is not valid Python.
    """
    found = resolve(target)
    try:
        return OPEN if found is None else signature_of(found)
    except RecursionError:  # functions that pass their keywords to each other
        return OPEN


def parameters(target: str) -> dict[str, Parameter]:
    """Returns the keyword parameters by name, as far as the source tells."""
    return signature(target).parameters


def takes(target: str, name: str) -> bool:
    """Whether a target takes a keyword; True if the source does not tell."""
    found = signature(target)
    return found.open or name in found.parameters


@lru_cache(maxsize=1024)
def signature_of(found: Definition) -> Signature:
    """Returns the signature of a definition."""
    if found.is_class:
        return constructor(lineage(found), 0)
    assert isinstance(found.node, Function)
    return _of_function(found.node, found.module, (), 0)


def constructor(order: Lineage, start: int) -> Signature:
    """Returns the signature of the first constructor in the lineage, searching from `start`."""
    for i, part in enumerate(order[start:], start):
        if isinstance(part, str):
            if is_bare(part):
                continue
            return OPEN
        assert isinstance(part.node, ast.ClassDef)
        if is_bare(part.name):
            continue
        new, init = method(part.node, "__new__"), method(part.node, "__init__")
        if new and not (init and takes_anything(new)):
            return OPEN
        if init:
            return _of_function(init, part.module, order, i)
        if "__init__" in assigned(part.node):
            return OPEN
        if is_dataclass(part.node):
            return _of_fields(order[i:])
    return Signature()


def _of_fields(order: Lineage) -> Signature:
    """The fields of a dataclass and of its dataclass bases."""
    found: dict[str, Parameter] = {}
    for part in reversed(order):
        if isinstance(part, str):
            continue
        assert isinstance(part.node, ast.ClassDef)
        if not is_dataclass(part.node):
            continue
        for node in part.node.body:
            if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
                continue
            name, value = node.target.id, node.value
            keywords = value.keywords if isinstance(value, ast.Call) else []
            not_in_init = any(k.arg == "init" and is_false(k.value) for k in keywords)
            if _is_class_variable(node.annotation) or not_in_init:
                continue
            required = value is None or (
                ends_in(value, "field")
                and not {k.arg for k in keywords} & {"default", "default_factory", "factory"}
            )
            found[name] = Parameter(name, node.annotation, required, part.module)
    return Signature(found, tuple(found))


def _of_function(node: Function, module: Module, order: Lineage, place: int) -> Signature:
    """Its own parameters, and those of the calls that it passes `**kwargs` on to.

    Args:
        order: for a constructor, the lineage of its class; empty for a function.
        place: the index of the constructor's class in the lineage.
    """
    arguments = node.args
    ordered = [*arguments.posonlyargs, *arguments.args]
    optional = len(ordered) - len(arguments.defaults)
    found = {
        a.arg: Parameter(a.arg, a.annotation, i < optional, module) for i, a in enumerate(ordered)
    }
    for arg, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found[arg.arg] = Parameter(arg.arg, arg.annotation, default is None, module)
    positional = [a.arg for a in ordered]
    if order or has_decorator(node, "classmethod"):  # self, or the class
        positional = positional[1:]
        found.pop(ordered[0].arg if ordered else "", None)
    for arg in arguments.posonlyargs:
        found.pop(arg.arg, None)
    own = Signature(found, tuple(positional), arguments.vararg is not None)
    if arguments.kwarg is None:
        return own
    rest = _forwarded(node, module, order, place)
    names = {a.arg for a in (*ordered, *arguments.kwonlyargs)}
    added = {k: v for k, v in rest.parameters.items() if k not in names}
    return replace(own, parameters={**found, **added}, open=rest.open)


def _forwarded(node: Function, module: Module, order: Lineage, place: int) -> Signature:
    """The parameters that a function takes through its `**kwargs`.

    There are none if `**kwargs` is not used: a key without effect should not pass the check.
    """
    assert node.args.kwarg is not None
    seen = uses(node, node.args.kwarg.arg)
    found = {key: Parameter(key, None, required=False) for key in seen.keys}
    is_open = seen.elsewhere
    for call in seen.calls:
        part = _taken_by(call, node, module, order, place)
        found = {**part.parameters, **found}
        is_open |= part.open
    return Signature(found, open=is_open)


def _taken_by(
    call: ast.Call, node: Function, module: Module, order: Lineage, place: int
) -> Signature:
    """The keywords that a call takes from the `**kwargs` passed on to it."""
    before = 0  # positional arguments that are not parameters: self
    match call.func:
        case ast.Attribute(value=ast.Call(func=ast.Name(id="super"), args=args), attr="__init__"):
            after = _super(args, module, order, place)
            whole = OPEN if after is None else constructor(order, after)
        case ast.Attribute(value=base, attr="__init__"):
            whole, before = _signature(base, module, node), 1
        case ast.Name() | ast.Attribute():
            whole = _signature(call.func, module, node)
        case _:
            return OPEN
    given = {w.arg for w in call.keywords if w.arg}
    if not any(isinstance(a, ast.Starred) for a in call.args):
        given |= set(whole.positional[: len(call.args) - before])
    return replace(whole, parameters={k: v for k, v in whole.parameters.items() if k not in given})


def _super(args: list[ast.expr], module: Module, order: Lineage, place: int) -> int | None:
    """The index in the lineage where `super()`, or `super(Class, self)`, starts to search."""
    if not order:
        return None
    if not args:
        return place + 1
    dotted = module.dotted(args[0])
    found = resolve(dotted) if dotted else None
    return next((i + 1 for i, part in enumerate(order) if part is found), None)


def _signature(expression: ast.expr, module: Module, node: Function) -> Signature:
    if not _is_global(expression, node):
        return OPEN
    dotted = module.dotted(expression, node.body)
    found = resolve(dotted) if dotted else None
    return OPEN if found is None or found.node is node else signature_of(found)


def _is_global(expression: ast.expr, node: Function) -> bool:
    """Whether the name is not a parameter of the function, such as `cls` or `self`."""
    while isinstance(expression, ast.Attribute):
        expression = expression.value
    own = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
    return isinstance(expression, ast.Name) and expression.id not in {a.arg for a in own}


def _is_class_variable(node: ast.expr) -> bool:
    return ends_in(node.value if isinstance(node, ast.Subscript) else node, "ClassVar")
