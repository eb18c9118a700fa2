"""Searches within the test's own process, which has imported everything already."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from arclight.search.run_search import search
from arclight.signals import SIGNALS
from tests.conftest import CONFIGS

OWN = f"hydra.searchpath=[file://{Path(__file__).parent / 'configs'}]"

Searched = Callable[..., int]


@pytest.fixture
def searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Searched]:
    """Does what `python train.py search=...` does, in a new folder, and returns the exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "arclight.report.search_report.report", lambda folder: None
    )  # tested elsewhere
    before = {number: signal.getsignal(number) for number in (*SIGNALS, signal.SIGCHLD)}

    def go(*overrides: str) -> int:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            words = [OWN, *overrides]
            cfg = compose("train", overrides=words, return_hydra_config=True)
            HydraConfig.instance().set_config(cfg)
            return search(cfg)

    yield go
    for number, handler in before.items():
        signal.signal(number, handler)
