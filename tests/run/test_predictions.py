"""Each run saves its predictions for the test set."""

from pathlib import Path

import pytest
import torch
from pyarrow import parquet

from arclight.report.examples import read_examples
from arclight.run.execute import execute
from arclight.run_directory import create
from arclight.tasks.predictions import Predictions
from tests.conftest import Composed

SHORT = ("data.limit=64", "data.batch_size=32", "trainer.max_epochs=1", "preflight=false")


def test_predictions_are_those_of_the_tested_checkpoint(composed: Composed, tmp_path: Path) -> None:
    config = composed("model.widths=[4,8]", *SHORT)
    run = create(None, tmp_path, "r", config, [], {})
    assert execute(run) == 0
    found = read_examples(run.predictions_file)
    assert found is not None
    assert found.id.tolist() == list(range(64))
    assert found.names == [str(i) for i in range(10)]
    assert found.right.mean() == pytest.approx(run.summary["metrics"]["test/accuracy"])
    assert ((found.score > 0) & (found.score <= 1)).all()
    assert parquet.read_schema(run.predictions_file).names == [
        *("id", "target", "prediction", "score")
    ]


def test_ids_are_places_in_the_test_set_on_each_process() -> None:
    kept = Predictions(rank=1, world=2)
    for batch in (torch.tensor([5, 6]), torch.tensor([7])):
        kept.add(batch, batch, torch.ones(len(batch)))
    table = kept.table()
    assert table is not None
    assert table["id"].tolist() == [1, 3, 5]
    assert table["target"].tolist() == [5, 6, 7]
    assert Predictions().table() is None
