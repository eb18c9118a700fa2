"""What a `_target_` accepts, read from its source without importing it.

Importing a model means importing torch (seconds); reading its signature takes a millisecond. So a
misspelt or mistyped key is named at once, and a target that the project does not define itself
(`os.system`, a name that a module merely imported) is never reached at all.
"""

import ast
import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from arclight.errors import UserError
from arclight.ranges import RANGES

PACKAGE = "arclight"


@dataclass(frozen=True)
class Parameter:
    """One parameter of a target: its annotation (source tree) and whether it must be given."""

    name: str
    annotation: ast.expr | None
    required: bool


class UnknownTargetError(UserError):
    """The target is not a class or function that the project defines."""

    def __init__(self, target: str) -> None:
        super().__init__(
            f"{target} is not a class or function of the project: only what src/{PACKAGE} defines "
            "can be built from a config."
        )


@lru_cache
def parameters(target: str) -> dict[str, Parameter]:
    """The parameters of a class or function such as `arclight.models.cnn.CNN`, by name.

    Raises:
        UnknownTargetError: the project does not define it.
        UserError: its file is no Python.
    """
    definition = _definition(target)
    if isinstance(definition, ast.FunctionDef):
        return _of_function(definition)
    init = next(
        (n for n in definition.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"),
        None,
    )
    if init is not None:
        found = _of_function(init)
        found.pop("self", None)
        return found
    fields = [n for n in definition.body if isinstance(n, ast.AnnAssign)]
    return {
        n.target.id: Parameter(n.target.id, n.annotation, n.value is None)
        for n in fields
        if isinstance(n.target, ast.Name)
    }


def _definition(target: str) -> ast.ClassDef | ast.FunctionDef:
    module, _, name = target.rpartition(".")
    if module.split(".")[0] != PACKAGE:
        raise UnknownTargetError(target)
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise UnknownTargetError(target)
    try:
        tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise UserError(
            f"{spec.origin}, line {error.lineno}, is no Python: {error.msg}."
        ) from error
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return node
    raise UnknownTargetError(target)


def _of_function(node: ast.FunctionDef) -> dict[str, Parameter]:
    positional = [*node.args.posonlyargs, *node.args.args]
    optional = len(node.args.defaults)
    found = {}
    for i, arg in enumerate(positional):
        required = i < len(positional) - optional
        found[arg.arg] = Parameter(arg.arg, arg.annotation, required)
    for arg, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        found[arg.arg] = Parameter(arg.arg, arg.annotation, default is None)
    return found


def fits(value: object, annotation: ast.expr | None) -> bool:
    """Whether a plain config value fits a simple annotation; anything not simple fits."""
    match annotation:
        case ast.Constant(value=None):
            return value is None
        case ast.Name(id=name) if name in RANGES:
            return value in RANGES[name]
        case ast.Name(id="bool"):
            return isinstance(value, bool)
        case ast.Name(id="int"):
            return isinstance(value, int) and not isinstance(value, bool)
        case ast.Name(id="float"):
            return isinstance(value, int | float) and not isinstance(value, bool)
        case ast.Name(id="str"):
            return isinstance(value, str)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return fits(value, left) or fits(value, right)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            return (
                value in ast.literal_eval(choices)
                if isinstance(choices, ast.Tuple)
                else (value == ast.literal_eval(choices))
            )
        case ast.Subscript(value=ast.Name(id="list" | "Sequence"), slice=item):
            return isinstance(value, list) and all(fits(v, item) for v in value)
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[item, _])):
            return isinstance(value, list) and all(fits(v, item) for v in value)
        case ast.Subscript(value=ast.Name(id="dict")):
            return isinstance(value, dict)
        case _:
            return True


_WORDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "list": "a list",
    "tuple": "a list",
    "Sequence": "a list",
    "dict": "a mapping",
}


def in_words(annotation: ast.expr | None) -> str:
    """The annotation as a person would say it: "a whole number or null"."""
    match annotation:
        case ast.Constant(value=None):
            return "null"
        case ast.Name(id=name) if name in RANGES:
            return RANGES[name].words
        case ast.Name(id=name):
            return _WORDS.get(name, name)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return f"{in_words(left)} or {in_words(right)}"
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            values = ast.literal_eval(choices)
            return " or ".join(map(str, values if isinstance(values, tuple) else [values]))
        case ast.Subscript(value=ast.Name(id=name)):
            return _WORDS.get(name, name)
        case _:
            return "another type"
