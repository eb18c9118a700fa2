"""New rows to predict on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arclight import UserError
from arclight_zoo.gallery.tabular.facts import TableFacts
from arclight_zoo.gallery.tabular.table import FILES
from arclight_zoo.reading.cells import Cells, encoding_of, suffix_of
from arclight_zoo.reading.complaints import require_commas


def read_rows(place: Path, facts: TableFacts) -> NDArray[np.float32]:
    """Reads the rows of a csv, jsonl or parquet file, encoded like the training rows.

    Other columns, such as the target, are ignored. Categories that are in no training row count as
    unknown.

    Raises:
        UserError: it is not a table, or lacks a column.
    """
    import pandas

    cells = Cells(facts.encoding, tuple(facts.missing))
    as_text = dict.fromkeys(facts.columns.categories, str)  # `01` stays what it is

    def read_json(file: Path) -> Any:
        text = file.read_text(encoding=cells.encoding or encoding_of(file) or "utf-8-sig")
        if text.lstrip().startswith("["):
            return pandas.DataFrame(json.loads(text))
        return pandas.DataFrame([json.loads(line) for line in text.split("\n") if line.strip()])

    def read_csv(file: Path) -> Any:
        return pandas.read_csv(file, dtype=as_text, **cells.options("csv", file))

    readers: dict[str, Callable[[Path], Any]] = {
        ".csv": read_csv,
        ".tsv": read_csv,
        ".parquet": pandas.read_parquet,
        ".jsonl": read_json,
        ".json": read_json,
    }
    if suffix_of(place) not in readers:
        raise UserError(f"input={place} is not a {', '.join(FILES)} file: convert it.")
    require_commas(place)
    try:
        table = readers[suffix_of(place)](place)
    except (ValueError, OSError) as error:  # includes pandas' own errors
        words = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"input={place} cannot be read ({words}): fix or convert it.") from error
    if not len(table):
        raise UserError(f"input={place} has no rows: fill it.")
    return facts.columns.encode(table, str(place))
