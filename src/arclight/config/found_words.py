"""Words that were found in a file: only plain `KEY=VALUE` of the config.

A file may come from a stranger. So it may neither say how the command runs (flags, `hydra.*`,
`run_dir`), nor read the environment (`${oc.env:X}`), nor choose a config outside of `configs/`.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from arclight.config.layout import COMMAND_KEYS
from arclight.config.project import PROJECT
from arclight.errors import UserError

_WORD = re.compile(r"(?P<key>(?:\+\+?|~)?[A-Za-z_][\w.@/-]*)(?:=(?P<value>[^\0]*))?")
_OPTION = re.compile(r"[\w.-]*|\[[\w.,\s-]*\]")
_RESOLVER = re.compile(r"\$\{\s*[^}]*[:$]")
_OF_COMMANDS = ("hydra", "runs", "path", *COMMAND_KEYS)


def require_plain(words: Iterable[object], file: Path) -> list[str]:
    """The words, if each is plain.

    Raises:
        UserError: one is not.
    """
    found = []
    for word in words:
        if said := _fault(word):
            raise UserError(f"{file} holds {_shown(word)}, which {said} Remove it from the file.")
        found.append(str(word))
    return found


def is_plain(word: object) -> bool:
    """Whether a file may hold the word."""
    return _fault(word) is None


def _fault(word: object) -> str | None:
    """What is wrong with a word, as the end of a sentence."""
    match = _WORD.fullmatch(word) if isinstance(word, str) else None
    if match is None:
        return "is not KEY=VALUE: a file may set keys of the config, and nothing else."
    key, value = match["key"].lstrip("+~"), match["value"]
    parts = re.split(r"[.@/]", key)
    if "hydra" in parts or parts[0] in _OF_COMMANDS:
        return "says how a command runs: a file may only say what a run is."
    if value is None:
        return None if match["key"].startswith("~") else "is not KEY=VALUE."
    if _RESOLVER.search(value):
        return "reads something outside of the config: a file may only refer to other keys."
    group = key.partition("@")[0]
    is_group = "." not in group and (PROJECT / "configs" / group).is_dir()
    if is_group and (not _OPTION.fullmatch(value.strip(" '\"")) or ".." in value):
        return f"names no option of configs/{group}/."
    return None


def _shown(word: object) -> str:
    """The word on one line of a terminal, cut where it is long."""
    text = ascii(word)[1:-1] if isinstance(word, str) else ascii(word)
    return text if len(text) <= 80 else f"{text[:77]}..."
