"""Find and parse source files without importing them, and collect the names that they bind."""

import ast
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from arclight.config.project import ENGINE, project
from arclight.errors import UserError

Function = ast.FunctionDef | ast.AsyncFunctionDef
Binding = ast.ClassDef | Function | ast.expr | str
"""What a name is bound to: a definition, an assigned expression, or an imported dotted name."""


@dataclass(eq=False)
class Module:
    """A parsed source file.

    Attributes:
        name: the dotted name of the module.
        path: its file.
        names: the bindings of each name, the most likely one first.
        stars: modules that it imports everything from.
    """

    name: str
    path: Path
    names: dict[str, list[Binding]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    _definitions: dict[int, "Definition"] = field(default_factory=dict)

    def definition(self, node: ast.ClassDef | Function, qualname: str) -> "Definition":
        """The definition of a node; the same object for each call."""
        return self._definitions.setdefault(id(node), Definition(self, node, qualname))

    def dotted(self, expression: ast.expr, local: Sequence[ast.stmt] = ()) -> str | None:
        """The dotted name of an expression such as `nn.Module`, after following one import.

        Args:
            local: statements of the enclosing function, whose imports win.
        """
        match expression:
            case ast.Name(id=name):
                bindings = bindings_of(local, self)[0].get(name, []) if local else []
                bindings = bindings or self.names.get(name, [])
                imported = [b for b in bindings if isinstance(b, str)]
                return imported[0] if imported else f"{self.name}.{name}"
            case ast.Attribute(value=value, attr=attribute):
                before = self.dotted(value, local)
                return before and f"{before}.{attribute}"
            case ast.Subscript(value=value):  # Dataset[int]
                return self.dotted(value, local)
            case ast.Constant(value=str() as text):
                return self.dotted(parsed(text), local)
            case _:
                return None


@dataclass(frozen=True, eq=False)
class Definition:
    """A class or function in the module that defines it."""

    module: Module
    node: ast.ClassDef | Function
    qualname: str

    @property
    def name(self) -> str:
        """The canonical dotted name."""
        return f"{self.module.name}.{self.qualname}"

    @property
    def file(self) -> Path:
        """The file that defines it."""
        return self.module.path

    @property
    def is_class(self) -> bool:
        """Whether it is a class."""
        return isinstance(self.node, ast.ClassDef)

    def bases(self) -> list[str | None]:
        """The dotted names of the base classes; None where the source does not tell."""
        assert isinstance(self.node, ast.ClassDef)
        return [self.module.dotted(base) for base in self.node.bases]


def parsed(text: str) -> ast.expr:
    """Parses a string annotation; text that is not valid Python becomes a name."""
    try:
        return ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return ast.Name(id=text)


def locate(module: str) -> Path | None:
    """Finds the source file of a module without importing it or its packages."""
    top, *rest = module.split(".")
    for root in _roots(top, tuple(sys.path)):
        if not rest:
            file = _init(root) if root.is_dir() else root
            return file if file.suffix in (".py", ".pyi") and file.is_file() else None
        place = root.joinpath(*rest)
        for file in (_init(place), place.with_name(f"{place.name}.py")):
            if file.is_file():
                return file
    return None


def _init(package: Path) -> Path:
    """The file with the names of a package: the stub, if names are imported lazily."""
    stub = package / "__init__.pyi"
    return stub if stub.is_file() else package / "__init__.py"


@lru_cache
def _roots(top: str, path: tuple[str, ...]) -> tuple[Path, ...]:
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # `__main__`, or an empty name
        return ()
    if spec is None:
        return ()
    if spec.submodule_search_locations is not None:
        return tuple(Path(place) for place in spec.submodule_search_locations)
    return (Path(spec.origin),) if spec.origin else ()


@lru_cache(maxsize=4096)
def text(path: Path, changed: int) -> str:
    """Reads a file; bytes that are not valid UTF-8 are replaced."""
    return path.read_text(encoding="utf-8", errors="replace")


def load(module: str) -> Module | None:
    """Parses the module with this name; returns None if it has no source file.

    The standard library is not read: a config cannot use it, and `typing` alone takes 50 ms.

    Raises:
        UserError: the module belongs to the project and is not valid Python.
    """
    path = None if module.split(".")[0] in sys.stdlib_module_names else locate(module)
    if path is None:
        return None
    try:
        return _parsed(path, path.stat().st_mtime_ns, module)
    except SyntaxError as error:
        if module.split(".")[0] not in (*ENGINE, *project().packages):
            return None
        raise UserError(
            f"{path}, line {error.lineno}, is not valid Python: {error.msg}."
        ) from error


@lru_cache(maxsize=1024)
def _parsed(path: Path, changed: int, name: str) -> Module:
    module = Module(name, path)
    source, stub = text(path, changed), path.with_suffix(".pyi")
    body = ast.parse(source).body
    if "attach_stub" in source and stub.is_file():
        # Names that are imported lazily, such as `arclight.Task`, are listed in the stub.
        body += ast.parse(text(stub, stub.stat().st_mtime_ns)).body
    module.names, module.stars = bindings_of(body, module)
    return module


def bindings_of(
    body: Sequence[ast.stmt], module: Module
) -> tuple[dict[str, list[Binding]], list[str]]:
    """Returns the names that statements bind, and the modules that they import everything from."""
    names: dict[str, list[Binding]] = {}
    stars: list[str] = []
    for statement in body:
        here: dict[str, list[Binding]] = {}
        for name, binding in _bound(statement, module):
            if name == "*":
                stars.append(str(binding))
            else:
                here.setdefault(name, []).append(binding)
        for name, bindings in here.items():
            names[name] = bindings + names.get(name, [])  # a later binding replaces an earlier one
    return names, stars


def _bound(statement: ast.stmt, module: Module) -> Iterator[tuple[str, Binding]]:
    match statement:
        case ast.ClassDef(name=name):
            yield name, statement
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            if not any(ends_in(d, "overload") for d in statement.decorator_list):
                yield name, statement
        case ast.Import(names=aliases):
            for alias in aliases:
                top = alias.name.split(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (top, top)
        case ast.ImportFrom(names=aliases):
            origin = _origin(statement, module)
            for alias in aliases:
                whole = alias.name == "*"
                yield alias.asname or alias.name, origin if whole else f"{origin}.{alias.name}"
        case ast.Assign(targets=targets, value=value):
            yield from ((t.id, value) for t in targets if isinstance(t, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            yield name, value
        case ast.If(body=body, orelse=orelse):
            for inner in (*body, *orelse):
                yield from _bound(inner, module)
        case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=final):
            for inner in (*body, *orelse, *(s for h in handlers for s in h.body), *final):
                yield from _bound(inner, module)
        case ast.With(body=body):
            for inner in body:
                yield from _bound(inner, module)


def _origin(statement: ast.ImportFrom, module: Module) -> str:
    if not statement.level:
        return statement.module or ""
    parts = module.name.split(".")
    if module.path.stem == "__init__":
        parts.append("")
    parts = parts[: -statement.level]
    return ".".join([*parts, *([statement.module] if statement.module else [])])


def has_decorator(node: ast.ClassDef | Function, name: str) -> bool:
    """Whether the definition has a decorator of this name."""
    return any(ends_in(decorator, name) for decorator in node.decorator_list)


def ends_in(node: ast.expr, name: str) -> bool:
    match node:
        case ast.Name(id=found) | ast.Attribute(attr=found):
            return found == name
        case ast.Call(func=func):
            return ends_in(func, name)
        case _:
            return False
