"""Load data sets with Hugging Face `datasets`: from the hub, and from local files and folders."""

import contextlib
import errno
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from arclight.errors import UserError
from arclight.network import address, hub, refusal, why_not
from arclight_zoo.reading import datasets_library, remote_files
from arclight_zoo.reading.cells import Cells, first_row, suffix_of, table_files
from arclight_zoo.reading.complaints import IMAGES, TEXTS, fault, require_commas
from arclight_zoo.reading.splits import Wanted

_COMMIT = re.compile(r"@[0-9a-f]{40}/")

TABLES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".parquet": "parquet",
    ".txt": "text",
}
"""The `datasets` builder for a single file, by its suffix."""


def load_splits(
    path: str,
    place: Path | None,
    holds: str = IMAGES,
    cells: Cells | None = None,
    wanted: Wanted = tuple,
) -> Any:
    """Loads a hub id, or a local folder or file, as a `datasets.DatasetDict`.

    Args:
        path: the hub id; also the name in error messages.
        place: the folder or file, or None for the hub. A file has one split, `train`.
        holds: the expected content, for error messages.
        cells: how local csv and jsonl files are read; None: the defaults of `datasets`.
        wanted: chooses splits, given their names.

    Raises:
        UserError: it is not reachable, or not a data set.
    """
    import datasets

    with _quiet_hub(may_connect=place is None) as within:
        try:
            if place and place.is_file():
                if (kind := TABLES.get(suffix_of(place))) is None:
                    raise UserError(
                        f"data.path={path} is not a {', '.join(TABLES)} file: convert it."
                    )
                require_commas(place)
                how = cells.options(kind, place) if cells else {}
                files = {"train": str(place.resolve())}
                return datasets.load_dataset(kind, data_files=files, **how)
            if place and cells and (tables := _text_tables(place)):
                kind, first = tables
                by_split = table_files(place, TABLES)
                by_split = {name: by_split[name] for name in wanted(by_split)}
                how = cells.options(kind, first)
                return datasets.load_dataset(kind, data_files=by_split, **how)
            if place:
                found = datasets.load_dataset(str(place.resolve()))
            else:
                repo, subset, revision = address(path)
                found = datasets.load_dataset(repo, subset, revision=revision)
            return datasets.DatasetDict({name: found[name] for name in wanted(found)})
        except UserError:
            raise
        except Exception as error:  # the hub, connections and formats raise many error types
            raise UserError(_fault(path, place, error, within, holds, cells)) from error


def split_files(path: str, place: Path | None) -> dict[str, tuple[list[str], str]]:
    """Lists the files of a hub id or local folder by split, with their identity; reads none.

    Args:
        path: the hub id; also the name in error messages.
        place: the folder, or None for the hub.

    Raises:
        UserError: it is not reachable, or not a data set.
    """
    import datasets

    repo, subset, revision = (str(place.resolve()), None, None) if place else address(path)
    with _quiet_hub(may_connect=place is None) as within:
        try:
            builder = datasets.load_dataset_builder(repo, subset, revision=revision)
        except Exception as error:
            raise UserError(_fault(path, place, error, within, TEXTS)) from error
        found = builder.config.data_files or {}
        if not found and not within and not place:
            raise UserError(_not_given(path, within))
        if not found:
            raise UserError(f"{path} lists no data files: type data=text_file to load it whole.")
        return {
            str(split): (list(map(str, files)), _identity(files)) for split, files in found.items()
        }


def _text_tables(folder: Path) -> tuple[str, Path] | None:
    """The format of the tables directly in a folder, and one of these, if all are csv or json."""
    files = [f for f in folder.iterdir() if f.is_file() and suffix_of(f) in TABLES]
    kinds = {(TABLES[suffix_of(f)], suffix_of(f) == ".tsv"): f for f in sorted(files)}
    ((kind, _), first), *others = kinds.items() or [(("", False), folder)]
    return (kind, first) if not others and kind in ("csv", "json") else None


def _identity(files: Any) -> str:
    """Changes when the files change; on the hub, not with every commit."""
    if all(map(remote_files.is_here, files)):
        return str(files.origin_metadata)
    return str([(_COMMIT.sub("/", str(file)), remote_files.identity(str(file))) for file in files])


def _fault(
    path: str,
    folder: Path | None,
    error: Exception,
    within: bool,
    holds: str,
    cells: Cells | None = None,
) -> str:
    import datasets

    cache = datasets.config.HF_DATASETS_CACHE
    cause = error.__cause__ or error  # of a DatasetGenerationError
    if folder and folder.is_dir() and not any(f.is_file() for f in folder.rglob("*")):
        return (
            f"data.path={path} is an empty folder: type data.path=FOLDER with one that holds "
            f"{holds}."
        )
    if isinstance(cause, OSError) and (cause.errno == errno.ENOSPC or str(cache) in str(cause)):
        return (
            f"The cache of Hugging Face datasets {cache} is not writable ({cause.strerror}): "
            "type HF_HOME=FOLDER before the command, with a writable folder."
        )
    known = isinstance(error, ConnectionError | FileNotFoundError)
    if not folder and (known or refusal(error)):
        return _not_given(path, within, error)
    words = " ".join(str(cause).split())
    if "zstd not supported" in words:
        return (
            f"data.path={path} is compressed with zstd, which needs another package: type pip "
            "install zstandard."
        )
    if not folder and (subsets := _subsets(path)):
        return (
            f"data.path={path} has several subsets: type data.path="
            f"{address(path)[0]}:SUBSET with one of {', '.join(subsets)}."
        )
    if folder:
        return fault(path, folder, cause, holds, cells)
    return (
        f"data.path={path} cannot be read as a data set ({words[:300].rstrip('.')}): type another, "
        f"or data.path=FOLDER with one that holds {holds}."
    )


def _not_given(path: str, within: bool, error: Exception | None = None) -> str:
    return (
        f"data.path={path} is not a local folder, and on the Hugging Face hub {path} "
        f"{why_not(within, error)}; with a local copy, type data.path=FOLDER."
    )


def _subsets(path: str) -> list[str]:
    """The subsets of a data set on the hub, if it has several and the path names none."""
    import datasets

    repo, subset, revision = address(path)
    try:
        known: list[str] = datasets.get_dataset_config_names(repo, revision=revision)
    except Exception:  # the first error is reported in any case
        return []
    return known if len(known) > 1 and subset not in known else []


@contextlib.contextmanager
def _quiet_hub(may_connect: bool) -> Iterator[bool]:
    """Yields whether the hub is reachable.

    Disables progress bars, log lines that repeat an exception, and retries without a network.
    """
    import datasets

    bars = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    readers = logging.getLogger("datasets.packaged_modules")
    level = readers.level
    readers.setLevel(logging.CRITICAL)
    may_connect = may_connect and not datasets_library.is_offline()
    try:
        with hub(may_connect) as within, datasets_library.offline(not within):
            yield within
    finally:
        readers.setLevel(level)
        if bars:
            datasets.enable_progress_bars()


def known_column(path: str, table: Mapping[str, Any], given: str, key: str) -> str:
    """Returns the column that `data.KEY` names.

    Args:
        path: the table's name in error messages.
        table: the table by split.
        given: the column's name.
        key: the key in the config's `data`.

    Raises:
        UserError: there is none.
    """
    features = next(iter(table.values())).features
    if given not in features:
        raise UserError(
            f"data.{key}={given} is not a column of {path}: type one of {', '.join(features)}."
            f"{begins_with(table)}"
        )
    return given


def begins_with(table: Mapping[str, Any]) -> str:
    """Returns a sentence with the first row of a table, without its images."""
    split = next(iter(table.values()))
    shown = [n for n, f in split.features.items() if type(f).__name__ in ("Value", "ClassLabel")]
    if not len(split) or not shown:
        return ""
    return f" Its first row: {first_row(split.select_columns(shown)[0])}."
