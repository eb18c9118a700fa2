"""Samples of the files that a config reads; `python -m arclight.config.help.formats` prints all.

They are written in the comments of the config, so help, errors and documentation show the same:

    # Format: FILE.csv, whose first line names the columns
    #   text,label
    #   a fine film,positive
    #   not worth the ticket,negative

A config without samples uses those of its first default in the same folder that has some.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from arclight.config.options import options
from arclight.config.project import PROJECT

_TITLE = re.compile(r"# Format: (.+)")
_SAMPLE = re.compile(r"#   (.+)")
_DEFAULT = re.compile(r"  - (\w+)")


@dataclass(frozen=True)
class Format:
    """How a file or folder should look.

    Attributes:
        title: the file or folder, such as "FILE.csv, whose first line names the columns".
        sample: lines of a text file, or paths in a folder.
    """

    title: str
    sample: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([f"  {self.title}:", *(f"    {line}" for line in self.sample)])


def formats(option: str, group: str = "data") -> list[Format]:
    """The formats that an option of a config group reads; many options have none.

    Args:
        option: such as `table`.
        group: a folder in `configs/`.
    """
    file = PROJECT / "configs" / group / f"{option}.yaml"
    if not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8").splitlines()
    inherited = (formats(match[1], group) for line in lines if (match := _DEFAULT.fullmatch(line)))
    return list(_read(lines)) or next((found for found in inherited if found), [])


def _read(lines: list[str]) -> Iterator[Format]:
    title, sample = "", list[str]()
    for line in [*lines, ""]:
        if title and (match := _SAMPLE.fullmatch(line)):
            sample.append(match[1])
            continue
        if title:
            yield Format(title, tuple(sample))
        started = _TITLE.fullmatch(line)
        title, sample = started[1] if started else "", []


def formats_help(option: str | None, group: str = "data") -> str:
    """The text of `--help` on an option's formats, or on where to find them."""
    if found := formats(option or "", group):
        return "\n".join([f"{group}={option} reads", *map(str, found)])
    known = [name for name in options(group) if formats(name, group)]
    return f"What files of your own should look like: --help with {group}={'|'.join(known)}"


def markdown(group: str = "data") -> str:
    """A section for each option of a group that has formats: its comments and its samples."""
    sections = []
    for option in options(group):
        file = PROJECT / "configs" / group / f"{option}.yaml"
        if found := list(_read(file.read_text(encoding="utf-8").splitlines())):
            samples = [f"{one.title}:\n\n```\n{chr(10).join(one.sample)}\n```" for one in found]
            sections.append("\n\n".join([f"## {group}={option}", _introduction(file), *samples]))
    return "\n\n".join(sections) + "\n"


def _introduction(file: Path) -> str:
    """The comment at the beginning of the file, up to its first format."""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("# ") or _TITLE.fullmatch(line):
            break
        lines.append(line.removeprefix("# "))
    return " ".join(lines)


if __name__ == "__main__":
    print(markdown(), end="")
