"""The commands that README and docs print: those of shell blocks, and those of recipes.

`<!-- not run: REASON -->` on the line before a block, or in a row of a table, says why not;
`<!-- file: NAME -->` before a block says that it is the content of a file.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).parents[2]
PAGES = ("README.md", *(f"docs/{f.name}" for f in sorted((PROJECT / "docs").glob("*.md"))))
FOLLOWED = ("docs/migration.md",)  # by tests/test_migration.py, word for word

BLOCK = re.compile(
    r"(?:<!-- (?P<mark>not run|file): (?P<about>[^>]+) -->\n)?"
    r"```(?P<kind>\w*)\n(?P<text>.*?)```",
    re.DOTALL,
)
CODE = re.compile(r"`(python (?:train|scripts/\w+)\S* ?[^`]*)`")
MARK = "<!-- not run: "


class Command(NamedTuple):
    """One line of a page, or a file that it shows.

    Attributes:
        output: what the page says that the line prints, if anything.
        file: the file's name within the project; `line` is its content.
    """

    page: str
    line: str
    output: str | None = None
    file: str | None = None

    @property
    def words(self) -> list[str]:
        return shlex.split(self.line, comments=True)


def commands(page: str) -> list[Command]:
    """Everything on the page that a reader may type, in order."""
    text = (PROJECT / page).read_text(encoding="utf-8")
    found = [] if page in FOLLOWED else [*_blocks(page, text)]
    return [*found, *(_rows(page, text) if page == "docs/recipes.md" else ())]


def _blocks(page: str, text: str) -> Iterator[Command]:
    for block in BLOCK.finditer(text):
        if block["mark"] == "file":
            yield Command(page, block["text"], file=block["about"])
        elif block["mark"]:
            continue
        elif block["kind"] == "sh":
            for line in block["text"].replace("\\\n", " ").splitlines():
                if shlex.split(line, comments=True):
                    yield Command(page, line)
        elif block["text"].startswith("$ "):
            line, _, output = block["text"].removeprefix("$ ").partition("\n")
            yield Command(page, line, output)


def _rows(page: str, text: str) -> Iterator[Command]:
    for row in text.splitlines():
        if row.startswith("|") and MARK not in row:
            for code in CODE.finditer(row.replace("\\|", "|")):
                yield Command(page, code[1])
