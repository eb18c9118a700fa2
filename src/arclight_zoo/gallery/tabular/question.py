"""New rows to predict on."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arclight import UserError
from arclight_zoo.gallery.tabular.facts import TableFacts
from arclight_zoo.gallery.tabular.table import FILES
from arclight_zoo.reading.cells import Cells, suffix_of


def read_rows(place: Path, facts: TableFacts) -> NDArray[np.float32]:
    """Reads the rows of a csv, jsonl or parquet file, encoded like the training rows.

    Other columns, such as the target, are ignored. Categories that are in no training row count as
    unknown.

    Raises:
        UserError: it is not a table, or lacks a column.
    """
    import pandas

    cells = Cells(missing=tuple(facts.missing))
    readers = {
        ".csv": lambda file: pandas.read_csv(file, **cells.options("csv", file)),
        ".parquet": pandas.read_parquet,
        ".jsonl": lambda file: pandas.read_json(file, lines=True),
    }
    if suffix_of(place) not in readers:
        raise UserError(f"input={place} is not a {', '.join(FILES)} file: convert it.")
    try:
        table = readers[suffix_of(place)](place)
    except (ValueError, OSError) as error:  # includes pandas' own errors
        words = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"input={place} cannot be read ({words}): fix or convert it.") from error
    if not len(table):
        raise UserError(f"input={place} has no rows: fill it.")
    return facts.columns.encode(table, str(place))
