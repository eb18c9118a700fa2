"""Open tables: files, hub data sets, and scikit-learn's small data sets."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from arclight import UserError
from arclight_zoo.reading.cells import Cells, first_row, suffix_of
from arclight_zoo.reading.complaints import require_distinct_names
from arclight_zoo.reading.hub import load_splits
from arclight_zoo.reading.missing import which_rows
from arclight_zoo.reading.splits import Wanted

if TYPE_CHECKING:
    from pandas import DataFrame

BUNDLED = ("breast_cancer", "diabetes", "digits", "iris", "wine")  # with scikit-learn
FILES = (".csv", ".tsv", ".parquet", ".jsonl", ".json")
HOLDS = "csv, jsonl or parquet files, named by split (train.csv, test.csv)"


def open_table(path: str, cells: Cells, wanted: Wanted) -> "dict[str, DataFrame]":
    """Opens a table, and returns its splits by name; a file has one, `train`.

    Args:
        path: `sklearn:NAME`, a csv, jsonl or parquet file, a folder of these, or a hub id.
        cells: how csv files are read.
        wanted: chooses splits, given their names.

    Raises:
        UserError: it does not exist, or is not a table.
    """
    if path.startswith("sklearn:"):
        return {"train": _carried(path.removeprefix("sklearn:"))}
    place = Path(path).expanduser()
    if not place.exists() and (path.startswith((".", "/", "~")) or suffix_of(place) in FILES):
        raise UserError(
            f"data.path={path} does not exist (looked for {place.absolute()}): type data.path=FILE "
            "with a csv or parquet file."
        )
    if place.exists():
        require_distinct_names(place, cells)
    splits = load_splits(path, place if place.exists() else None, HOLDS, cells, wanted)
    return {str(name): split.to_pandas() for name, split in splits.items()}


def _carried(name: str) -> "DataFrame":
    if name not in BUNDLED:
        raise UserError(
            f"data.path=sklearn:{name} is not a data set of scikit-learn: type one of "
            f"{', '.join(f'sklearn:{one}' for one in BUNDLED)}."
        )
    sets: Any = importlib.import_module("sklearn.datasets")
    options = {"scaled": False} if name == "diabetes" else {}
    loaded = getattr(sets, f"load_{name}")(as_frame=True, **options)
    table: DataFrame = loaded.frame
    if "target_names" in loaded and name != "digits":
        table["target"] = np.asarray(loaded.target_names)[table["target"]]
    return table


def require_target(path: str, splits: "dict[str, DataFrame]", target: str | None) -> str:
    """The target column; `target` for scikit-learn's data sets.

    Raises:
        UserError: it is not given, does not exist, or has empty cells.
    """
    columns = [str(one) for one in next(iter(splits.values())).columns]
    if target is None:
        if "target" not in columns:
            row = first_row(next(iter(splits.values())).iloc[0].to_dict())
            raise UserError(
                f"data.target is not set for {path}: type data.target=COLUMN with one of "
                f"{listed(columns)}. Its first row: {row}."
            )
        target = "target"
    for name, table in splits.items():
        if target not in table.columns:
            raise UserError(
                f"data.target={target} is not a column of split {name} of {path}: type one of "
                f"{listed([str(one) for one in table.columns])}. Its first row: "
                f"{first_row(table.iloc[0].to_dict())}."
            )
        bad = np.flatnonzero(table[target].isna()).tolist()
        if bad:
            them = "them" if bad[1:] else "that row"
            raise UserError(f"{which_rows(bad, path, name)} no {target}: remove {them}.")
    return target


def listed(names: Sequence[str]) -> str:
    """The first few names as text."""
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
