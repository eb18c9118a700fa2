"""Find and read the run directories in folders."""

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from arclight.config.freeze import flatten
from arclight.config.suggest import key_meant
from arclight.errors import UserError
from arclight.reading import read_manifest, read_mapping, read_overrides, read_summary

OTHER = ("parameters", "epochs", "seconds", "training_seconds")  # numbers besides the metrics


@dataclass(frozen=True)
class Result:
    """The content of a run directory.

    Attributes:
        path: the directory.
        status: from its summary.
        error: of a failed run, one line.
        typed: the overrides by key.
        config: the frozen config's leaves by their dotted keys.
        choices: the options of the config groups, if recorded.
        metrics: metrics and other measured numbers; empty until the run is finished.
    """

    path: Path
    status: str
    error: str
    typed: dict[str, Any]
    config: dict[str, Any]
    choices: dict[str, Any]
    metrics: dict[str, float]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Leaves of the config, options of groups and overrides, by key."""
        return {**self.config, **self.choices, **self.typed}

    @property
    def monitor(self) -> str:
        """The metric that selects the run's best checkpoint."""
        return str(self.config.get("callbacks.checkpoints.monitor") or "val/loss")

    def value(self, key: str) -> Any:
        return {**self.settings, **self.metrics, "status": self.status}.get(key)


def collect(places: Iterable[str | Path]) -> list[Result]:
    """All runs in the folders, at any depth, sorted by path; `2` comes before `10`.

    Raises:
        UserError: a place is not a folder.
    """
    found: dict[Path, Result] = {}
    for place in places:
        root = Path(place).expanduser()
        if not root.is_dir():
            raise UserError(
                f"{place} is not a folder; give a run, or a folder of runs or searches."
            )
        for path in sorted(_runs_in(root), key=_natural):
            if path.resolve() not in found and (result := _readable(path)) is not None:
                found[path.resolve()] = result
    return list(found.values())


def _readable(path: Path) -> "Result | None":
    """The run; None, with a warning on stderr, if its files are damaged."""
    try:
        return read(path)
    except (UserError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        said = " ".join(str(error).split())
        print(f"warning: {path} is left out, because it cannot be read ({said}).", file=sys.stderr)
        return None


def _runs_in(root: Path) -> Iterator[Path]:
    for folder, below, files in os.walk(root):
        if "config.yaml" in files and "summary.json" in files:
            yield Path(folder)
            below.clear()
        below[:] = [name for name in below if not name.startswith(".")]


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def read(path: Path) -> Result:
    """Reads a run directory.

    Raises:
        UserError: it is not the directory of a run.
    """
    summary = read_summary(path / "summary.json")
    config, typed = read_mapping(path / "config.yaml"), read_overrides(path)
    if missing := [k for k in ("trainer", "data", "callbacks") if k not in config]:
        raise UserError(f"{path}/config.yaml is not the config of a run: it has no {missing[0]}.")
    finished = summary["status"] == "finished"
    measured = {**(summary.get("metrics") or {}), **{k: summary.get(k) for k in OTHER}}
    return Result(
        path=path,
        status=summary["status"],
        error=str(summary.get("error") or "").partition("\n")[0],
        typed=dict(_word(word) for word in typed),
        config=dict(flatten(config)),
        choices=read_manifest(path / "manifest.json").get("choices", {}),
        metrics={k: v for k, v in measured.items() if v is not None} if finished else {},
    )


def _word(word: str) -> tuple[str, Any]:
    key, _, value = word.partition("=")
    return key.lstrip("+~").partition("@")[0], parse(value)


def parse(text: str) -> Any:
    """Parses a value from the command line: `1e-3` is a number."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def require_known(results: Sequence[Result], key: str) -> None:
    """Raises `UserError` if no run has this key."""
    known = {k for r in results for k in (*r.settings, *r.metrics)} | {"status"}
    if key not in known:
        raise UserError(f"{key} is not a key of these runs{key_meant(key, sorted(known))}")
