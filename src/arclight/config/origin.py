"""Where the values of a config came from: file and line, and the words that chose the file."""

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
_INDEX = re.compile(r"\[\d+\].*$")  # of a list, which is set as a whole


@dataclass(frozen=True)
class Link:
    """One place that sets a key.

    Attributes:
        text: the value as it is written there; of a mapping its first line.
        file: None: it was typed.
        line: of the file.
        word: what was typed.
        because: how the file came in: "model=bert in configs/train.yaml:4".
    """

    text: str
    file: Path | None = None
    line: int = 0
    word: str = ""
    because: str = ""

    @property
    def where(self) -> str:
        """`configs/trainer/cpu.yaml:12`, or the word that was typed."""
        return f"{_short(self.file)}:{self.line}" if self.file else f"typed {self.word}"


class Origins:
    """The files of a composed config, in the order in which they are merged, and what was typed.

    Args:
        words: of the command line, without its flags.
    """

    def __init__(self, words: Sequence[str]) -> None:
        with hydra_ready():
            loader = GlobalHydra.instance().config_loader()
            found: Any = loader.compute_defaults_list("train", list(words), RunMode.RUN)
            folders = _folders(loader)
        self.words = {re.split("[=@]", word.lstrip("+"))[0] for word in words}
        self.typed: list[Override] = found.config_overrides
        self.metadata = found.overrides.override_metadata
        self.choices: dict[str, str | None] = dict(found.overrides.known_choices)
        self.files = [
            (file, default)
            for default in found.defaults
            if (file := _file(default.config_path, folders))
        ]

    def links(self, path: str) -> list[Link]:
        """The places that set a key, the first one first; the last decides."""
        path = _INDEX.sub("", path)
        found = []
        for file, default in self.files:
            place = _marks(file, file.stat().st_mtime_ns).get(_within(default.package, path))
            if place:
                found.append(Link(place[1], file, place[0], because=self._because(default)))
        for override in self.typed:
            key, word = override.key_or_group, str(override.input_line)
            if not override.is_delete() and (path == key or path.startswith(f"{key}.")):
                text = word.partition("=")[2]
                found = [*(found if path == key else []), Link(text, word=word)]
        return found

    def last(self, path: str) -> Link | None:
        """The place that decides; where none sets the key itself, the one that sets its parent."""
        while path:
            if links := self.links(path):
                return links[-1]
            path = path.rpartition(".")[0]
        return None

    def chosen(self, group: str) -> str:
        """Which word or file has chosen the group's option; empty: the list of defaults."""
        if group in self.words:
            return f"typed {group}={self.choices.get(group)}"
        known = self.metadata.get(group)
        inside = known and known.containing_config_path
        return f"{group}={self.choices.get(group)} in {self._named(inside)}" if inside else ""

    def _because(self, default: Any) -> str:
        group, _, option = default.config_path.rpartition("/")
        if default.parent in (None, "<root>"):
            return ""
        if self.choices.get(group) == option and (said := self.chosen(group)):
            return said
        said = f"{group}={option} in " if self.choices.get(group) == option else "from "
        return f"{said}{self._named(default.parent)}"

    def _named(self, config_path: str) -> str:
        file = next((f for f, d in self.files if d.config_path == config_path), None)
        return _short(file) if file else config_path


def _folders(loader: ConfigLoader) -> list[Path]:
    """The folders where Hydra looks for configs, the first one first."""
    return [Path(s.path) for s in loader.get_sources() if s.scheme() == "file"]


def _file(config_path: str, folders: list[Path]) -> Path | None:
    files = (folder / f"{config_path}.yaml" for folder in folders)
    return next((file for file in files if file.is_file()), None)


def _within(package: str | None, path: str) -> str:
    """The key as a file of that package has it; empty: it does not."""
    if not package:
        return path
    return path[len(package) + 1 :] if path.startswith(f"{package}.") else ""


@lru_cache(maxsize=256)
def _marks(file: Path, changed: int) -> dict[str, tuple[int, str]]:
    """Line and text of each key of a YAML file, by its dotted name."""
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
    """Relative to the project, where it lies there."""
    return str(file.relative_to(PROJECT)) if file.is_relative_to(PROJECT) else str(file)
