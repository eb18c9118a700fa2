"""Fixtures for all tests: separate caches, and configs composed in-process."""

import os
import re
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import open_dict

from arclight.config import project as projects
from arclight.config.freeze import freeze
from arclight.config.project import project
from arclight.signals import SIGNALS, ignore_signals

PROJECT = Path(__file__).parents[1]
CONFIGS = PROJECT / "configs"
SHARED_DATA = PROJECT.parent / "shared" / "data"


def options(group: str) -> list[str]:
    """The shipped options of a config group.

    Options of the user's packages have their own tests, such as tests/test_project.py.
    """
    own = "|".join(project().packages)
    return sorted(
        file.stem
        for file in (CONFIGS / group).glob("*.yaml")
        if file.stem[0] != "_" and not re.fullmatch(own, file.stem)
        if not re.search(rf"_target_: ({own})\.", file.read_text())
    )


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A new cache, which the workers of xdist share."""
    base = tmp_path_factory.getbasetemp()
    place = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    before = os.environ.get("ARCLIGHT_CACHE")
    os.environ["ARCLIGHT_CACHE"] = str(place / "cache")
    yield
    os.environ.pop("ARCLIGHT_CACHE")
    if before:
        os.environ["ARCLIGHT_CACHE"] = before


@pytest.fixture
def handlers() -> Iterator[None]:
    """Restores the signal handlers after the test."""
    numbers = (*SIGNALS, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    ignore_signals()
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture(scope="session", autouse=True)
def no_plots() -> Iterator[None]:
    """Runs within the tests' process draw no plots, which take longer than a short training.

    Tests that look at them use `plots`.
    """
    with pytest.MonkeyPatch.context() as patch:
        if "lightning" in sys.modules:  # otherwise, these tests train nothing
            patch.setattr("arclight.run.fit.draw", lambda *_: [])
        yield


@pytest.fixture
def plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs of a test draw their plots."""
    from arclight.report.run_pictures import draw

    monkeypatch.setattr("arclight.run.fit.draw", draw)


Composed = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def composed() -> Composed:
    """Composes and freezes a config as train.py does: `composed("model=vit", "seed=1")`."""

    def make(*overrides: str) -> dict[str, Any]:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            cfg = compose("train", overrides=list(overrides), return_hydra_config=True)
            HydraConfig.instance().set_config(cfg)
            with open_dict(cfg):
                choices = cfg.pop("hydra").runtime.choices
            return freeze(cfg, choices)

    return make


@pytest.fixture(scope="session", autouse=True)
def hub_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    import datasets

    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("hub")
    yield
    datasets.config.HF_DATASETS_CACHE = before


Package = Callable[..., None]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """Writes modules of an allowed package `mylab`: `package(net="...")`."""
    source = tmp_path / "source" / "mylab"
    source.mkdir(parents=True)
    (source / "__init__.py").touch()
    file = tmp_path / "pyproject.toml"
    file.write_text('[tool.arclight]\npackages = ["mylab"]\n')
    monkeypatch.setattr(projects, "PYPROJECT", file)
    monkeypatch.syspath_prepend(source.parent)

    def write(**modules: str) -> None:
        for name, code in modules.items():
            (source / f"{name}.py").write_text(textwrap.dedent(code))

    yield write
    for name in [m for m in sys.modules if m.split(".")[0] == "mylab"]:
        del sys.modules[name]
