"""Text that comes with Python: the source code of its standard library."""

import ast
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from io import StringIO
from pathlib import Path

LEFT_OUT = {"test", "tests", "site-packages", "idlelib", "lib2to3", "turtledemo", "ensurepip"}
"""Folders that a distribution may lack, that are not the library, or that repeat other code."""

PACKAGES = (
    "asyncio", "email", "importlib", "logging", "multiprocessing", "unittest", "urllib", "xml"
)  # fmt: skip
"""Packages with about two hundred functions each, on different topics.

Packages that some distributions ship separately (`tkinter`), or that later versions drop
(`distutils`), are left out.
"""

LEAST_LINES = 3
"""Shorter functions do not show which package they are from."""


@lru_cache
def modules() -> dict[str, str]:
    """Source text by path relative to the library, such as `json/decoder.py`; sorted."""
    root = Path(sysconfig.get_paths()["stdlib"])
    found = {}
    for file in sorted(root.rglob("*.py")):
        place = file.relative_to(root)
        if not LEFT_OUT.intersection(place.parts) and not place.name.startswith("_sysconfigdata"):
            found[place.as_posix()] = file.read_text(encoding="utf-8", errors="replace")
    return found


def functions(source: str) -> Iterator[str]:
    """The source of each function and method; nested functions stay in the outermost one.

    Methods are dedented.
    """
    lines = list(StringIO(source))  # splitlines() would also split at form feeds
    for node in _outermost(ast.parse(source)):
        indent = " " * node.col_offset  # strings within may be less indented
        yield "".join(
            line.removeprefix(indent) for line in lines[node.lineno - 1 : node.end_lineno]
        )


def labelled_functions() -> Iterator[tuple[str, int]]:
    """Each function of `PACKAGES` with the index of its package, except very short ones."""
    for name, source in modules().items():
        package = name.partition("/")[0]
        if package in PACKAGES:
            for function in functions(source):
                if function.rstrip().count("\n") + 1 >= LEAST_LINES:
                    yield function, PACKAGES.index(package)


def _outermost(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
        else:
            yield from _outermost(child)
