"""Reads `predictions.parquet`: a run's predictions for its test set."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arclight.errors import UserError


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
        UserError: the file cannot be read.
    """
    if not file.is_file():
        return None
    import json

    from pyarrow import ArrowException, parquet

    try:
        with file.open("rb") as opened:  # pyarrow takes no undecodable path
            table = parquet.read_table(opened)
        columns = [table[name].to_numpy() for name in ("id", "target", "prediction", "score")]
    except (ArrowException, OSError, KeyError, ValueError, RecursionError) as error:
        raise UserError(f"{file} cannot be read as predictions: {error}") from error
    names = json.loads((table.schema.metadata or {}).get(b"class_names", b"[]"))
    ids, targets, predictions, scores = columns
    return Examples(ids, targets, predictions, scores, names)
