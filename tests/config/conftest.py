"""A package of a user's own with a `pyproject.toml` that lists it, and a config to change."""

import copy
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from arclight.config import project
from tests.conftest import Composed

Package = Callable[..., None]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """Writes the modules of a package `mylab`, which may be built from: `package(net="...")`."""
    source = tmp_path / "source" / "mylab"
    source.mkdir(parents=True)
    (source / "__init__.py").touch()
    file = tmp_path / "pyproject.toml"
    file.write_text('[tool.arclight]\npackages = ["mylab"]\n')
    monkeypatch.setattr(project, "PYPROJECT", file)
    monkeypatch.syspath_prepend(source.parent)

    def write(**modules: str) -> None:
        for name, code in modules.items():
            (source / f"{name}.py").write_text(textwrap.dedent(code))

    yield write
    for name in [m for m in sys.modules if m.split(".")[0] == "mylab"]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def default(composed: Composed) -> dict[str, Any]:
    """The config of `python train.py`; not to be changed."""
    return composed()


@pytest.fixture
def config(default: dict[str, Any]) -> dict[str, Any]:
    """The same, to be changed."""
    return copy.deepcopy(default)
