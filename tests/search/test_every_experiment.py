"""A search takes any experiment of the gallery, and chooses by the experiment's own metric."""

from pathlib import Path

import pytest

from arclight.run_directory import RunDirectory
from tests.search.conftest import Searched
from tests.zoo.gallery import miniature


@pytest.mark.parametrize("name", miniature.MINIATURE)
def test_every_experiment_can_be_searched(searched: Searched, name: str) -> None:
    alone = ("task.weight=0",) if name == "distillation" else ()  # without a teacher
    words = miniature.words(name, "preflight=false", *alone)
    assert searched(*words, "search=rates", "search.n_trials=1") == 0
    (trial,) = (file.parent for file in Path().rglob("manifest.json"))
    run = RunDirectory(trial)
    assert run.config["callbacks"]["checkpoints"]["monitor"] in run.summary["metrics"]
