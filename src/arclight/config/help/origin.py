"""Find where the values of a config were set: file, line, and how the file was chosen."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.types import RunMode

from arclight.config.compose import hydra_ready
from arclight.config.project import PROJECT

_FASTEST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INDEX = re.compile(r"\[\d+\].*$")  # an index into a list; lists are set as a whole


@dataclass(frozen=True)
class Link:
    """One place that sets a key.

    Attributes:
        text: the value as it is written there; for a mapping, its first line.
        file: the config file; None if the value was typed.
        line: the line in the file.
        override: the override, if the value was typed.
        because: how the file was chosen: "model=bert in configs/train.yaml:4".
    """

    text: str
    file: Path | None = None
    line: int = 0
    override: str = ""
    because: str = ""

    @property
    def where(self) -> str:
        """`configs/trainer/cpu.yaml:12`, or the override that was typed."""
        return f"{_short(self.file)}:{self.line}" if self.file else f"typed {self.override}"


class Origins:
    """The files of a composed config in the order of their merge, and the overrides.

    Args:
        overrides: the overrides of the command line, without flags.
    """

    def __init__(self, overrides: Sequence[str]) -> None:
        with hydra_ready():
            loader = GlobalHydra.instance().config_loader()
            found: Any = loader.compute_defaults_list("train", list(overrides), RunMode.RUN)
            folders = _folders(loader)
        self.overrides = {re.split("[=@]", override.lstrip("+"))[0] for override in overrides}
        self.typed: list[Override] = found.config_overrides
        self.metadata = found.overrides.override_metadata
        self.choices: dict[str, str | None] = dict(found.overrides.known_choices)
        self.files = [
            (file, default)
            for default in found.defaults
            if (file := _file(default.config_path, folders))
        ]

    def links(self, path: str) -> list[Link]:
        """Returns the places that set a key, in order; the last one wins."""
        path = _INDEX.sub("", path)
        found = []
        for file, default in self.files:
            place = _marks(file, file.stat().st_mtime_ns).get(_within(default.package, path))
            if place:
                found.append(Link(place[1], file, place[0], because=self._because(default)))
        for one in self.typed:
            key, override = one.key_or_group, str(one.input_line)
            if not one.is_delete() and (path == key or path.startswith(f"{key}.")):
                text = override.partition("=")[2]
                found = [*(found if path == key else []), Link(text, override=override)]
        return found

    def last(self, path: str) -> Link | None:
        """Returns the place that wins; if none sets the key, the one that sets its parent."""
        while path:
            if links := self.links(path):
                return links[-1]
            path = path.rpartition(".")[0]
        return None

    def chosen(self, group: str) -> str:
        """Returns which override or file chose the group's option; empty: the default."""
        if group in self.overrides:
            return f"typed {group}={self.choices.get(group)}"
        known = self.metadata.get(group)
        inside = known and known.containing_config_path
        return f"{group}={self.choices.get(group)} in {self._named(inside)}" if inside else ""

    def _because(self, default: Any) -> str:
        group, _, option = default.config_path.rpartition("/")
        if default.parent in (None, "<root>"):
            return ""
        if self.choices.get(group) == option and (message := self.chosen(group)):
            return message
        message = f"{group}={option} in " if self.choices.get(group) == option else "from "
        return f"{message}{self._named(default.parent)}"

    def _named(self, config_path: str) -> str:
        file = next((f for f, d in self.files if d.config_path == config_path), None)
        return _short(file) if file else config_path


def _folders(loader: ConfigLoader) -> list[Path]:
    """The folders where Hydra looks for configs, in order."""
    return [Path(s.path) for s in loader.get_sources() if s.scheme() == "file"]


def _file(config_path: str, folders: list[Path]) -> Path | None:
    files = (folder / f"{config_path}.yaml" for folder in folders)
    return next((file for file in files if file.is_file()), None)


def _within(package: str | None, path: str) -> str:
    """The key relative to the package of a file; empty if it is not in the package."""
    if not package:
        return path
    return path[len(package) + 1 :] if path.startswith(f"{package}.") else ""


@lru_cache(maxsize=256)
def _marks(file: Path, changed: int) -> dict[str, tuple[int, str]]:
    """The line and text of each key of a YAML file, by dotted name."""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    root = yaml.compose("\n".join(lines), Loader=_FASTEST)
    return dict(_places(root, "", lines))


def _places(node: Any, path: str, lines: list[str]) -> Iterator[tuple[str, tuple[int, str]]]:
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        name = f"{path}.{key.value}".lstrip(".")
        start, end = value.start_mark, value.end_mark
        text = lines[start.line][start.column :] if start.line < len(lines) else ""
        if start.line == end.line:
            text = lines[start.line][start.column : end.column]
        yield name, (key.start_mark.line + 1, text)
        yield from _places(value, name, lines)


def _short(file: Path) -> str:
    """The path, relative to the project if it is inside."""
    return str(file.relative_to(PROJECT)) if file.is_relative_to(PROJECT) else str(file)
