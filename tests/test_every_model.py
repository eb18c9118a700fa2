"""Every config in configs/model trains a few steps on its own default data."""

from pathlib import Path

import pytest

from arclight.run.directory import create
from arclight.run.evaluate import evaluate
from arclight.run.execute import execute
from tests.conftest import Composed, options

FEW = ("data.limit=8", "data.batch_size=4", "trainer.max_epochs=1", "trainer.log_every_n_steps=1")
# The published sizes differ in depth alone from what one block shows.
SHALLOW = dict.fromkeys(("vit_small", "vit_base", "vit_large", "vit_huge"), "model.n_layers=1")


@pytest.mark.parametrize("model", options("model"))
def test_it_trains_and_is_evaluated_from_its_directory(
    composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    shallow = [SHALLOW[model]] if model in SHALLOW else []
    config = composed(f"model={model}", *FEW, *shallow)
    monkeypatch.setattr("arclight.run.fit._draw", lambda *_: [])
    run = create(tmp_path / model, tmp_path, model, config, [], {})
    assert execute(run) == 0
    assert run.summary["steps"] == 2
    assert evaluate(str(run.path))["test/loss"] == run.summary["metrics"]["test/loss"]
