"""Read YAML, JSON and CSV files that may be damaged or untrusted.

Every error is one sentence with the name of the file. A file that would fill the memory is rejected
before it is loaded, by its size, its depth, and the number of values after its aliases expand.
"""

import csv
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from arclight.collection import paused_collection
from arclight.errors import UserError

LARGEST_YAML = 2 * 1024**2  # bytes
LARGEST_JSON = 16 * 1024**2
DEEPEST = 64
MOST_NODES = 200_000  # after aliases are expanded

_NUMBER = (int, float)
OF_A_SUMMARY = {
    "metrics": (dict, type(None)),
    "seconds": _NUMBER,
    **dict.fromkeys(("parameters", "epochs", "training_seconds"), (*_NUMBER, type(None))),
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
"""The types of the values that commands read from these files; other values may have any type."""

STATUSES = ("created", "running", "finished", "failed", "interrupted", "pruned")

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, if available


class DamagedFileError(UserError):
    """Raised when a file of a run cannot be read, or has the wrong content."""


def require_regular(path: Path) -> None:
    """Raises `DamagedFileError` for a pipe or a device, whose reading may never end."""
    with suppress(PermissionError):  # opening the file says why
        if not path.exists() or path.is_file() or path.is_dir():
            return
        raise DamagedFileError(f"{path} is a pipe or a device, not a file: replace it by a file.")


def read_text(path: Path, largest: int) -> str:
    """Reads the text of a file.

    Args:
        path: the file.
        largest: the largest size in bytes.

    Raises:
        DamagedFileError: the file is missing, unreadable, empty, too large, or not UTF-8.
    """
    require_regular(path)
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
    except OSError as error:
        raise DamagedFileError(f"{path} cannot be read: {error.strerror}.") from error
    if len(content) > largest:
        raise DamagedFileError(
            f"{path} is larger than {largest >> 20} MiB, so it cannot be a file of a run."
        )
    if not content.strip():
        raise DamagedFileError(f"{path} is empty: restore a copy of it.")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise DamagedFileError(f"{path} is damaged: it is not UTF-8 text.") from error


def read_yaml(path: Path) -> Any:
    """Reads the plain content of a YAML file.

    Raises:
        DamagedFileError: it cannot be read, is not valid YAML, or is larger than any config.
    """
    text = read_text(path, LARGEST_YAML)
    try:
        _require_small(text, path)
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}," if mark else ""
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise DamagedFileError(f"{path}{where} is not valid YAML: {problem}.") from error


def read_mapping(path: Path) -> dict[str, Any]:
    """Reads a YAML file with a mapping.

    Raises:
        DamagedFileError: as `read_yaml`, or the content is not a mapping.
    """
    return _mapping(read_yaml(path), path)


def read_overrides(run: Path) -> list[str]:
    """Reads the overrides that a run was started with.

    Raises:
        DamagedFileError: its `overrides.yaml` cannot be read, or is not a list of texts.
    """
    overrides = read_yaml(run / "overrides.yaml")
    if not isinstance(overrides, list) or not all(isinstance(one, str) for one in overrides):
        raise DamagedFileError(f"{run}/overrides.yaml is damaged: it should be a list of texts.")
    return overrides


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON file with an object.

    Raises:
        DamagedFileError: it cannot be read, is not valid JSON, or is not an object.
    """
    try:
        with paused_collection():
            content = json.loads(read_text(path, LARGEST_JSON))
    except RecursionError as error:
        raise DamagedFileError(
            f"{path} is nested too deeply, so it cannot be a file of a run."
        ) from error
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged: it is not valid JSON ({error}).") from error
    return _mapping(content, path)


def read_summary(path: Path) -> dict[str, Any]:
    """Reads the `summary.json` of a run.

    Raises:
        DamagedFileError: as `read_json`, or it has no status, or a value has the wrong type.
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
    """Reads the `manifest.json` of a run.

    Raises:
        DamagedFileError: as `read_json`, or it has no run_id, or a value has the wrong type.
    """
    manifest = read_json(path)
    if "run_id" not in manifest:
        raise DamagedFileError(f"{path} is damaged: it has no run_id.")
    _require_types(manifest, OF_A_MANIFEST, path)
    for later in manifest.get("continued", ()):
        entry = {"time": None, "code": None, **_mapping(later, path)}
        _require_types(entry, {**OF_A_MANIFEST, "time": str}, path)
    return manifest


def read_rows(path: Path) -> list[dict[str, str]]:
    """Reads the rows of a CSV file with a header, by column.

    Leaves out an incomplete last line, which a killed process may write.

    Raises:
        DamagedFileError: it cannot be read, or is not such a file.
    """
    require_regular(path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, strict=True))
    except OSError as error:
        raise DamagedFileError(f"{path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DamagedFileError(f"{path} is damaged: it is not a CSV file ({error}).") from error
    if rows and (None in rows[-1] or None in rows[-1].values()):
        rows.pop()
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise DamagedFileError(
                f"{path} is damaged: line {number} does not have one value per column."
            )
    return rows


def _require_types(content: Mapping[str, Any], types: Mapping[str, Any], path: Path) -> None:
    for key, expected in types.items():
        if key in content and not isinstance(content[key], expected):
            raise DamagedFileError(
                f"{path} is damaged: its {key} is a {type(content[key]).__name__}."
            )
        if isinstance(content.get(key), int) and abs(content[key]) > sys.float_info.max:
            raise DamagedFileError(f"{path} is damaged: its {key} is too large.")


def _mapping(content: Any, path: Path) -> dict[str, Any]:
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        raise DamagedFileError(f"{path} is damaged: it should be a mapping of keys to values.")
    return dict(content)


def _require_small(text: str, path: Path) -> None:
    """Raises `DamagedFileError` if loading the text could fill the memory."""
    sizes: dict[str, int] = {}  # nodes of each anchor, with its aliases expanded
    open_ones: list[tuple[str | None, int]] = []  # the open containers and their first nodes
    nodes = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise DamagedFileError(
                    f"{path}: the alias *{event.anchor} refers to itself, or its anchor does not "
                    "exist."
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
            raise DamagedFileError(f"{path} is {what} than any config, so it is not loaded.")
