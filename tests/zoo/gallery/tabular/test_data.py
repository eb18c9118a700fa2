"""Tables: statistics of the training rows, encoding of rows, and invalid data."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from arclight.errors import UserError
from arclight_zoo.gallery.tabular.data import TableData

N = 60


def table() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    made = pd.DataFrame(
        {
            "age": draw.normal(40, 9, N).round(1),
            "rooms": draw.integers(1, 6, N),
            "town": draw.choice(["Ulm", "Graz", "Bern"], N),
            "owner": draw.random(N) < 0.5,
            "price": draw.normal(1000, 200, N),
        }
    )
    made["cheap"] = np.where(made.price < 1000, "yes", "no")
    made.loc[3, "age"] = None
    made.loc[5, "town"] = None
    return made


def data_of(folder: Path, made: pd.DataFrame, suffix: str = "csv", **options: Any) -> TableData:
    file = folder / f"made.{suffix}"
    getattr(made, {"csv": "to_csv", "parquet": "to_parquet"}[suffix])(file, index=False)
    data = TableData(str(file), batch_size=8, **options)
    data.setup()
    return data


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_encoding_only_uses_statistics_of_training_rows(tmp_path: Path, suffix: str) -> None:
    data = data_of(tmp_path, table(), suffix, target="price", drop=["cheap"])
    facts, columns = data.facts, data.facts.columns
    assert facts.sizes == {"train": 43, "val": 5, "test": 12}
    assert columns.numbers == ["age", "rooms"]
    assert columns.categories == {"town": ["Bern", "Graz", "Ulm"], "owner": ["False", "True"]}
    rows, targets = data.parts["train"]
    assert rows.shape[1] == columns.width + 2 == facts.for_model()["num_numbers"] + 2
    assert rows[:, :2].mean(0).abs().max() < 1e-6
    assert targets.mean().abs() < 1e-6
    assert targets.std(correction=0) == pytest.approx(1)
    test = data.parts["test"][0]
    assert test[:, :2].mean(0).abs().max() > 1e-3  # not fitted to these
    assert test.isfinite().all()


def test_the_kind_of_target_is_detected(tmp_path: Path) -> None:
    assert data_of(tmp_path, table(), target="cheap").facts.class_names == ["no", "yes"]
    assert data_of(tmp_path, table(), target="rooms").facts.class_names == list("12345")
    assert not data_of(tmp_path, table(), target="price").facts.class_names
    values = data_of(tmp_path, table(), target="rooms", predict="values")
    assert values.facts.mean == pytest.approx(3, abs=0.5)
    assert (
        "rooms"
        in data_of(
            tmp_path, table(), target="price", categorical=["rooms"]
        ).facts.columns.categories
    )


def test_empty_cells_and_new_categories(tmp_path: Path) -> None:
    made = table()
    data = data_of(tmp_path, made, target="price", drop=["cheap"], val_fraction=0, test_fraction=0)
    columns = data.facts.columns
    assert columns.gaps == ["age"]
    new = made.iloc[[3, 0]].assign(town=["Rome", "Bern"])
    first, second = columns.encode(new, "new.csv")
    assert first.tolist()[0] == 0  # the mean
    assert (first[2], second[2]) == (1, 0)  # whether it was empty
    assert (first[3], second[3]) == (0, 1)  # an unknown town, and Bern


@pytest.mark.parametrize(
    ("change", "options", "sentence"),
    [
        (lambda t: t, {}, r"data\.target is not set for .*: type data\.target=COLUMN"),
        (lambda t: t, {"target": "prize"}, r"data\.target=prize is not a column"),
        (lambda t: t.assign(price=t.price.where(t.price < 1200)), {"target": "price"}, "have no p"),
        (lambda t: t.assign(id=[f"n{i}" for i in range(N)]), {"target": "price"}, r"drop=\[id\]"),
        (lambda t: t.assign(note=None), {"target": "price"}, "note of .* is empty in all"),
        (lambda t: t.assign(age=np.inf), {"target": "price"}, "is infinite in age"),
        (lambda t: t.assign(price=np.inf), {"target": "price"}, "is infinite in price"),
        (lambda t: t, {"target": "price", "drop": ["agee"]}, "data.drop names agee, not a col"),
        (lambda t: t[["price"]], {"target": "price"}, "has no column besides the target"),
        (lambda t: t, {"target": "cheap", "predict": "values"}, "data.predict=values needs numb"),
        (lambda t: t.assign(cheap="no"), {"target": "cheap"}, "have one class"),
    ],
)
def test_invalid_data_are_rejected(
    tmp_path: Path, change: Any, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        data_of(tmp_path, change(table()), **options)


def test_missing_tables_are_rejected(tmp_path: Path) -> None:
    for path, sentence in (
        (tmp_path / "none.csv", "does not exist"),
        ("sklearn:boston", "is not a data set of scikit-learn: type one of sklearn:breast_cancer"),
    ):
        with pytest.raises(UserError, match=sentence):
            TableData(str(path)).setup()


def test_equal_rows_stay_together(tmp_path: Path) -> None:
    made = pd.concat([table()] * 2)
    data = data_of(tmp_path, made, target="price", drop=["cheap"])
    seen = [{tuple(row) for row in rows.tolist()} for rows, _ in data.parts.values()]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert torch.equal(data.parts["train"][1].isfinite().all(), torch.tensor(True))
