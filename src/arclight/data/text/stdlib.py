"""Text that every Python carries: the source of its own standard library."""

import ast
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

LEFT_OUT = {"test", "tests", "site-packages", "idlelib", "lib2to3", "turtledemo", "ensurepip"}
"""Folders that a distribution may lack, that are not the library, or that only repeat."""

# Packages with enough code, and different enough business, to tell their functions apart.
PACKAGES = ("asyncio", "ctypes", "email", "http", "json", "tkinter", "unittest", "xml")


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
    """The source of each function and method, of the outermost where they are nested."""
    lines = source.splitlines(keepends=True)
    for node in _outermost(ast.parse(source)):
        yield "".join(lines[node.lineno - 1 : node.end_lineno])


def _outermost(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
        else:
            yield from _outermost(child)
