"""Reads `predictions.parquet`: a run's predictions for its test set."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arclight.errors import UserError

COLUMNS = ["id", "target", "prediction", "score"]
MOST = 10_000_000  # rows, which take 320 MB


@dataclass(frozen=True)
class Examples:
    """A run's predictions for its test set; the arrays have the shape `(examples,)`.

    Attributes:
        id: indices in the test set.
        target: true values.
        prediction: predicted values.
        score: confidence of the predictions.
        names: of the classes; empty if there are no classes.
    """

    id: NDArray[np.int64]
    target: NDArray[Any]
    prediction: NDArray[Any]
    score: NDArray[np.float64]
    names: list[str]

    @property
    def right(self) -> NDArray[np.bool_]:
        return np.asarray(self.target == self.prediction)

    @property
    def are_classes(self) -> bool:
        return self.target.dtype.kind in "iub"


def read_examples(file: Path) -> Examples | None:
    """A run's predictions; None if the file does not exist.

    Raises:
        UserError: the file cannot be read, is too large, or has other content.
    """
    if not file.is_file():
        return None
    from pyarrow import ArrowException, parquet

    try:
        with file.open("rb") as given, parquet.ParquetFile(given) as opened:  # of any path
            rows = opened.metadata.num_rows
            if rows > MOST:  # a small file can have any number of equal rows
                raise UserError(
                    f"{file} has {rows:,} rows, and at most {MOST:,} are read as predictions."
                )
            names = _class_names((opened.schema_arrow.metadata or {}).get(b"class_names", b"[]"))
            _require_numbers(opened.schema_arrow)
            table = opened.read(COLUMNS)
        if any(table[name].null_count for name in COLUMNS):
            raise ValueError("some of its values are missing")
        columns = [table[name].to_numpy() for name in COLUMNS]
    except (ArrowException, OSError, KeyError, ValueError, RecursionError) as error:
        raise UserError(f"{file} cannot be read as predictions: {error}") from error
    ids, targets, predictions, scores = columns
    return Examples(ids, targets, predictions, scores, names)


def _class_names(encoded: bytes) -> list[str]:
    names = json.loads(encoded)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("its class names should be a list of texts")
    return names


def _require_numbers(schema: Any) -> None:
    from pyarrow import types

    for name in COLUMNS:
        kind = schema.field(name).type
        if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
            raise ValueError(f"its {name} should be numbers, and not {kind}")
