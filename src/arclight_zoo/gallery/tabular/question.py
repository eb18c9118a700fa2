"""New rows that a trained task is asked about."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arclight import UserError
from arclight_zoo.gallery.tabular.facts import TableFacts
from arclight_zoo.gallery.tabular.table import FILES
from arclight_zoo.reading.cells import Cells, suffix_of


def read_rows(place: Path, facts: TableFacts) -> NDArray[np.float32]:
    """The rows of a csv, jsonl or parquet file, encoded as the training rows were.

    Further columns, such as the target, play no part. A category that no training row has counts as
    an unknown one.

    Raises:
        UserError: it is no table, or lacks a column.
    """
    import pandas

    cells = Cells(missing=tuple(facts.missing))
    readers = {
        ".csv": lambda file: pandas.read_csv(file, **cells.options("csv", file)),
        ".parquet": pandas.read_parquet,
        ".jsonl": lambda file: pandas.read_json(file, lines=True),
    }
    if suffix_of(place) not in readers:
        raise UserError(f"input={place} is no {', '.join(FILES)} file: convert it to one.")
    try:
        table = readers[suffix_of(place)](place)
    except (ValueError, OSError) as error:  # pandas' own errors are among them
        words = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"input={place} cannot be read ({words}): mend or convert it.") from error
    if not len(table):
        raise UserError(f"input={place} has no rows: fill it.")
    return facts.columns.encode(table, str(place))
