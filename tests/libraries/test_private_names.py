"""Private names of libraries are used only in the files that check for them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"

PLACES = {
    "arclight/libraries/huggingface.py",
    "arclight/libraries/lightning.py",
    "arclight/libraries/lightning_loops.py",
    "arclight/libraries/lightning_results.py",
    "arclight/libraries/optuna.py",
    "arclight/libraries/pytorch.py",
    "arclight/libraries/torchmetrics_state.py",
    "arclight/libraries/wandb.py",
    "arclight_zoo/nets/masks.py",
    "arclight_zoo/reading/datasets_library.py",
}
INTERNAL = ("wandb.sdk", "huggingface_hub.constants", "hydra._internal")
"""Modules that are not public, although their names do not begin with `_`."""
DOCUMENTED = {"_replace", "_exit"}  # public names of named tuples and `os`
ATTRIBUTE_FUNCTIONS = ("getattr", "setattr", "hasattr", "delattr")


def is_private(name: object) -> bool:
    return isinstance(name, str) and name.startswith("_") and not name.startswith("__")


def is_internal(module: str) -> bool:
    return any(f"{module}.".startswith(f"{start}.") for start in INTERNAL)


def is_of_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def defined(tree: ast.AST) -> set[str]:
    """Names of attributes and methods that the file itself defines."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            for line in node.body:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    names.add(line.target.id)
                elif isinstance(line, ast.Assign):
                    names |= {t.id for t in line.targets if isinstance(t, ast.Name)}
        elif (
            isinstance(node, ast.Attribute) and is_of_self(node) and isinstance(node.ctx, ast.Store)
        ):
            names.add(node.attr)
    return names


def found(source: str) -> Iterator[str]:
    """Every use of a private name that the file does not define."""
    tree = ast.parse(source)
    own = defined(tree)
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module)):
                names = [f"{module}.{alias.name}" for alias in node.names]
                if any(map(is_private, ".".join(names).split("."))) or any(map(is_internal, names)):
                    yield f"{node.lineno}: from {module} import ..."
            case ast.Import():
                for alias in node.names:
                    if any(map(is_private, alias.name.split("."))) or is_internal(alias.name):
                        yield f"{node.lineno}: import {alias.name}"
            case ast.Attribute(value=value, attr=attr):
                if isinstance(value, ast.Name) and value.id in ("self", "cls"):
                    continue
                if isinstance(value, ast.Call) and ast.unparse(value.func) == "super":
                    continue
                if (is_private(attr) and attr not in own | DOCUMENTED) or is_internal(
                    ast.unparse(node)
                ):
                    yield f"{node.lineno}: {ast.unparse(node)}"
            case ast.Call(func=ast.Name(id=name), args=[_, ast.Constant(value=attr), *_]):
                if name in ATTRIBUTE_FUNCTIONS and is_private(attr) and attr not in own:
                    yield f"{node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize(
    "source",
    [
        "from torch._subclasses import FakeTensor",
        "from torch.nn.modules.batchnorm import _BatchNorm",
        "import torch._dynamo",
        "from wandb.sdk import mailbox",
        "import huggingface_hub\nhuggingface_hub.constants.HF_HUB_OFFLINE = True",
        "storage._cdata",
        "loader()._iterator = None",
        "getattr(batches, '_workers', ())",
        "torch.ops.aten._fused_rms_norm",
    ],
)
def test_private_names_are_found(source: str) -> None:
    assert len(list(found(source))) >= 1


def test_private_names_of_the_file_itself_are_allowed() -> None:
    source = "class A:\n    def _f(self): self._x = 1\ndef g(a): return a._x, a._f(), t._replace()"
    assert not list(found(source))


def test_private_names_are_used_only_in_the_listed_files() -> None:
    files = {str(f.relative_to(SRC)): f.read_text() for f in sorted(SRC.rglob("*.py"))}
    assert set(files) >= PLACES
    assert not [f"{f}:{use}" for f in set(files) - PLACES for use in found(files[f])]
