"""Read YAML and JSON files that may be damaged or come from a stranger.

Every problem is one sentence that names the file. A file that would fill the memory is refused
before it is loaded: by its size, its depth, and what its aliases expand to.
"""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from arclight.errors import UserError

LARGEST_YAML = 2 * 1024**2  # bytes
LARGEST_JSON = 16 * 1024**2
DEEPEST = 64
MOST_NODES = 200_000  # after aliases are expanded

_NUMBER = (int, float)
OF_A_SUMMARY = {
    "metrics": (dict, type(None)),
    "seconds": _NUMBER,
    "times_resumed": int,
    "error": (str, type(None)),
    "tested": list,
}
OF_A_MANIFEST = {
    **dict.fromkeys(("run_id", "command", "python", "platform"), str),
    **dict.fromkeys(("data", "choices", "chosen", "packages", "hardware", "code"), dict),
    "git": (dict, type(None)),
    "continued": list,
}
"""The types of what commands read from these files; of anything else they take any."""

STATUSES = ("created", "running", "finished", "failed", "interrupted", "pruned")

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it is


class DamagedFileError(UserError):
    """A file of a run that cannot be read, or is not what its name says."""


def read_text(path: Path, largest: int) -> str:
    """The text of a file.

    Raises:
        DamagedFileError: it is missing, unreadable, larger than so many bytes, or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
    except OSError as error:
        raise DamagedFileError(f"{path} cannot be read: {error.strerror}.") from error
    if len(content) > largest:
        raise DamagedFileError(f"{path} is larger than any of a run: {largest >> 20} MiB.")
    if not content.strip():
        raise DamagedFileError(f"{path} is empty: put back a copy of it.")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise DamagedFileError(f"{path} is damaged: it is not text in UTF-8.") from error


def read_yaml(path: Path) -> Any:
    """The plain content of a YAML file.

    Raises:
        DamagedFileError: it cannot be read, is no YAML, or holds more than a config does.
    """
    text = read_text(path, LARGEST_YAML)
    try:
        _require_small(text, path)
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}," if mark else ""
        said = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise DamagedFileError(f"{path}{where} is not valid YAML: {said}.") from error


def read_mapping(path: Path) -> dict[str, Any]:
    """The same of a file that holds keys and values.

    Raises:
        DamagedFileError: as `read_yaml`, or it holds something else.
    """
    return _mapping(read_yaml(path), path)


def read_words(run: Path) -> list[str]:
    """The words that were typed for a run.

    Raises:
        DamagedFileError: its `overrides.yaml` cannot be read, or holds something else.
    """
    words = read_yaml(run / "overrides.yaml")
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise DamagedFileError(f"{run}/overrides.yaml is damaged: it should be a list of words.")
    return words


def read_json(path: Path) -> dict[str, Any]:
    """The content of a JSON file that holds keys and values.

    Raises:
        DamagedFileError: it cannot be read, is no JSON, or holds something else.
    """
    try:
        content = json.loads(read_text(path, LARGEST_JSON))
    except RecursionError as error:
        raise DamagedFileError(f"{path} is nested too deep, and cannot be of a run.") from error
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged: it is not valid JSON ({error}).") from error
    return _mapping(content, path)


def read_summary(path: Path) -> dict[str, Any]:
    """The `summary.json` of a run.

    Raises:
        DamagedFileError: as `read_json`, or it has no status, or a value of another type.
    """
    summary = read_json(path)
    _require_types(summary, OF_A_SUMMARY, path)
    metrics = summary.get("metrics") or {}
    _require_types(metrics, dict.fromkeys(metrics, _NUMBER), path)
    if summary.get("status") not in STATUSES:
        raise DamagedFileError(
            f"{path} is damaged: its status is not one of {', '.join(STATUSES)}."
        )
    return summary


def read_manifest(path: Path) -> dict[str, Any]:
    """The `manifest.json` of a run.

    Raises:
        DamagedFileError: as `read_json`, or it has no run_id, or a value of another type.
    """
    manifest = read_json(path)
    if "run_id" not in manifest:
        raise DamagedFileError(f"{path} is damaged: it has no run_id.")
    _require_types(manifest, OF_A_MANIFEST, path)
    return manifest


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file with a header, by column.

    A last line that a kill has cut short is left out.

    Raises:
        DamagedFileError: it cannot be read, or is no such file.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, strict=True))
    except OSError as error:
        raise DamagedFileError(f"{path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DamagedFileError(f"{path} is damaged: it is no CSV file ({error}).") from error
    if rows and (None in rows[-1] or None in rows[-1].values()):
        rows.pop()
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise DamagedFileError(f"{path} is damaged: line {number} has not a value by column.")
    return rows


def _require_types(content: Mapping[str, Any], types: Mapping[str, Any], path: Path) -> None:
    for key, expected in types.items():
        if key in content and not isinstance(content[key], expected):
            raise DamagedFileError(
                f"{path} is damaged: its {key} is a {type(content[key]).__name__}."
            )


def _mapping(content: Any, path: Path) -> dict[str, Any]:
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        raise DamagedFileError(f"{path} is damaged: it should hold keys and their values.")
    return dict(content)


def _require_small(text: str, path: Path) -> None:
    """Raises `DamagedFileError` where loading the text could fill the memory."""
    sizes: dict[str, int] = {}  # of what an anchor names, with its own aliases expanded
    open_ones: list[tuple[str | None, int]] = []  # the containers that are open, and their starts
    nodes = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise DamagedFileError(
                    f"{path}: *{event.anchor} is an alias of itself, or of nothing."
                )
            nodes += sizes[event.anchor]
        elif isinstance(event, yaml.CollectionStartEvent):
            nodes += 1
            open_ones.append((event.anchor, nodes))
            sizes.pop(event.anchor or "", None)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, start = open_ones.pop()
            if anchor:
                sizes[anchor] = nodes - start + 1
        elif isinstance(event, yaml.ScalarEvent):
            nodes += 1
            if event.anchor:
                sizes[event.anchor] = 1
        if len(open_ones) > DEEPEST or nodes > MOST_NODES:
            what = "nested deeper" if nodes <= MOST_NODES else "with more values"
            raise DamagedFileError(f"{path} is {what} than any config, so it was not loaded.")
