"""Open a collection of texts by its path, and split it into training, validation and test."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arclight.errors import UserError
from arclight.network import address
from arclight_zoo.reading.cells import Cells, first_row, suffix_of
from arclight_zoo.reading.complaints import TEXTS, refuse_separator
from arclight_zoo.reading.division import Division
from arclight_zoo.tokens.corpus import Texts, carve_texts, of_column, of_file, of_list

if TYPE_CHECKING:
    from arclight_zoo.reading.splits import Wanted

STDLIB = "python:stdlib"
Documents = dict[str, Texts]  # by split: "train", "val" and "test"


def open_table(path: str, cells: Cells | None = None, wanted: "Wanted" = tuple) -> Any:
    """Opens a hub id, or a local csv, jsonl, parquet or txt file or folder, by split.

    Args:
        path: of the table.
        cells: how local csv and jsonl files are read; None: the defaults of `datasets`.
        wanted: chooses splits, given their names.

    Raises:
        UserError: it is not reachable, or cannot be read.
    """
    from arclight_zoo.reading.hub import load_splits

    place = Path(path).expanduser()
    looks_local = path.startswith((".", "/", "~")) or suffix_of(place) in (
        ".csv",
        ".tsv",
        ".jsonl",
        ".txt",
    )
    if not place.exists() and (looks_local or address(path)[0].count("/") > 1):
        raise UserError(
            f"data.path={path} does not exist (looked for {place.absolute()}): "
            "type data.path=FILE with the file or folder of your text."
        )
    table = load_splits(path, place if place.exists() else None, TEXTS, cells, wanted)
    if any("__index_level_0__" in rows.features for rows in table.values()):  # by pandas
        raise UserError(
            f"The rows of {path} have more cells than its first line has names: quote texts that "
            'contain commas, as in "one, two", and name each column.'
        )
    return table


def column(path: str, table: Any, given: str | None, key: str, usual: Sequence[str]) -> str:
    """The column of a table: as given, or the only one with a usual name.

    Raises:
        UserError: there is none, or there are several.
    """
    from arclight_zoo.reading.hub import known_column

    features = next(iter(table.values())).features
    if given is not None:
        return known_column(path, table, given, key)
    found = [name for name in usual if name in features]
    if not found and len(features) == 1:
        found = list(features)
        refuse_separator(path, found[0])
    if len(found) != 1:
        row = first_row(next(iter(table.values()))[0])
        raise UserError(
            f"{path} has {len(found) or 'no'} columns that could be data.{key}: type "
            f"data.{key}=NAME with one of {', '.join(found or features)}. Its first row: {row}."
        )
    return found[0]


def open_documents(
    path: str,
    text_column: str | None,
    division: Division,
    cache: Path,
) -> Documents:
    """Opens the texts of a path, split into "train", "val" and "test".

    Args:
        path: `python:stdlib`, a txt file (one text), or a path for `open_table`.
        text_column: of a table; None: found by name.
        division: how the texts are divided.
        cache: folder for statistics that need a pass over all texts.
    """
    place = Path(path).expanduser()
    if path == STDLIB:
        from arclight_zoo.tokens.stdlib import modules

        by_split = {"train": of_list(list(modules().values()))}
    elif place.is_file() and suffix_of(place) == ".txt":
        if not place.stat().st_size:
            raise UserError(f"The text {place} is empty: fill it, or type another data.path.")
        by_split = {"train": of_file(place)}
    else:
        table = open_table(path)
        name = column(path, table, text_column, "text_column", ("text", "content", "sentence"))
        by_split = {split: of_column(rows, name, cache) for split, rows in table.items()}
    documents = {stage: by_split[name] for stage, name in division.found(by_split).items()}
    val, test = division.shares(documents)
    own = documents["train"]
    train, carved_val, carved_test = carve_texts(own, val, test, division.seed, cache)
    return {"val": carved_val, "test": carved_test, **documents, "train": train}
