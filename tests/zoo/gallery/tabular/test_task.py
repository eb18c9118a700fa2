"""The tabular task: its baseline, and predictions for new rows."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from arclight.errors import UserError
from arclight.run.execute import execute
from arclight.run_directory import RunDirectory, create
from arclight.use.evaluate import evaluate
from arclight.use.predict import predict
from arclight_zoo.gallery.tabular.baseline import Baseline, baseline
from arclight_zoo.gallery.tabular.data import TableData
from arclight_zoo.gallery.tabular.mlp import MLP
from tests.conftest import Composed
from tests.zoo.gallery.tabular.test_data import table


@pytest.mark.parametrize("target", ["price", "cheap"])
def test_training_and_prediction_with_a_file(
    composed: Composed, tmp_path: Path, target: str
) -> None:
    made = table()
    made.to_csv(tmp_path / "made.csv", index=False)
    config = composed(
        "experiment=tabular", f"data.path={tmp_path / 'made.csv'}", f"data.target={target}",
        "trainer.max_epochs=1", "preflight=false",
    )  # fmt: skip
    run = create(tmp_path / "run", tmp_path, "run", config, [], {})
    assert execute(run) == 0
    names = {"price": ("r2", "mae"), "cheap": ("accuracy", "f1")}[target]
    for figure in names:
        assert {f"test/{figure}", f"baseline/{figure}"} <= run.summary["metrics"].keys()
    assert evaluate(str(run.path))[f"baseline/{names[0]}"] == pytest.approx(
        run.summary["metrics"][f"baseline/{names[0]}"]
    )
    asked(run, made, target, tmp_path)


def asked(run: RunDirectory, made: pd.DataFrame, target: str, folder: Path) -> None:
    made.drop(columns=target).head(3).to_parquet(folder / "new.parquet")
    header, *rows = predict(str(run.path), str(folder / "new.parquet"))
    assert header[:2] == ["row", target]
    assert [row[0] for row in rows] == ["1", "2", "3"]
    if target == "price":
        assert all(500 < float(row[1]) < 1500 for row in rows)  # in its own units
    else:
        assert header[2:] == ["no", "yes"]
    made.drop(columns="town").head(3).to_csv(folder / "bad.csv")
    with pytest.raises(UserError, match=r"bad\.csv has no column town: add it"):
        predict(str(run.path), str(folder / "bad.csv"))
    (folder / "bad.txt").touch()
    with pytest.raises(UserError, match=r"bad\.txt is not a \.csv, \.tsv, \.parquet, \.jsonl,"):
        predict(str(run.path), str(folder / "bad.txt"))


@pytest.mark.parametrize("kind", ["linear", "forest", "boosting"])
def test_a_baseline_is_far_above_chance(kind: Baseline) -> None:
    data = TableData("sklearn:wine", batch_size=8)
    data.setup()
    assert baseline(kind, data)["accuracy"] > 0.85


@pytest.mark.parametrize("embedding", [None, 4])
def test_categories_are_embedded_or_one_hot(embedding: int | None) -> None:
    net = MLP(2, [3, 5], 7, d_embedding=embedding).eval()
    rows = torch.tensor([[0.5, 1.0, 2.0, 4.0], [0.5, 1.0, 1.0, 4.0]])
    outputs = net(rows)
    assert outputs.shape == (2, 7)
    assert not torch.equal(outputs[0], outputs[1])
