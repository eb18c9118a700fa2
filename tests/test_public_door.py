"""The zoo and the project use only names that the engine exports."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"


def imported() -> Iterator[tuple[str, str, str]]:
    """The file, module and name of each import of the engine in the other packages."""
    for package in ("arclight_zoo", "project"):
        for file in sorted((SRC / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                module = str(node.module) if isinstance(node, ast.ImportFrom) else ""
                if module.split(".")[0] == "arclight":
                    for alias in node.names:  # type: ignore[attr-defined]
                        yield str(file.relative_to(SRC)), module, alias.name


@pytest.mark.parametrize("module", sorted({module for _, module, _ in imported()}))
def test_only_exported_names_are_used(module: str) -> None:
    exported = getattr(importlib.import_module(module), "__all__", ())
    wrong = [f"{file}: {name}" for file, of, name in imported() if of == module]
    assert not [line for line in wrong if line.rpartition(": ")[2] not in exported]


@pytest.mark.parametrize("module", sorted({module for _, module, _ in imported()}))
def test_exported_names_exist(module: str) -> None:
    found = importlib.import_module(module)
    for name in found.__all__:
        assert getattr(found, name) is not None


def test_importing_arclight_does_not_import_torch() -> None:
    code = "import sys, arclight; print('torch' in sys.modules, 'lightning' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
