"""Check overrides that were read from a file: only plain `KEY=VALUE` of the config are allowed.

The file may not be trusted. So it may not set how the command runs (flags, `hydra.*`, `run_dir`),
read the environment (`${oc.env:X}`), or choose a config outside `configs/`.
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


def require_plain(overrides: Iterable[object], file: Path) -> list[str]:
    """Returns the overrides as strings, if all are plain.

    Raises:
        UserError: one is not plain.
    """
    found = []
    for override in overrides:
        if reason := _fault(override):
            raise UserError(
                f"{file} contains {_shown(override)}, which {reason} Remove it from the file."
            )
        found.append(str(override))
    return found


def is_plain(override: object) -> bool:
    """Whether a file may contain this override."""
    return _fault(override) is None


def _fault(override: object) -> str | None:
    """What is wrong with an override, as the end of a sentence."""
    match = _WORD.fullmatch(override) if isinstance(override, str) else None
    if match is None:
        return "is not KEY=VALUE: a file may only set keys of the config."
    key, value = match["key"].lstrip("+~"), match["value"]
    parts = re.split(r"[.@/]", key)
    if "hydra" in parts or parts[0] in _OF_COMMANDS:
        return "sets how a command runs: a file may only set what the run computes."
    if value is None:
        return None if match["key"].startswith("~") else "is not KEY=VALUE."
    if _RESOLVER.search(value):
        return "reads a value outside the config: a file may only refer to other keys."
    group = key.partition("@")[0]
    is_group = "." not in group and (PROJECT / "configs" / group).is_dir()
    if is_group and (not _OPTION.fullmatch(value.strip(" '\"")) or ".." in value):
        return f"is not an option of configs/{group}/."
    return None


def _shown(override: object) -> str:
    """The override on one line, shortened if it is long."""
    text = ascii(override)[1:-1] if isinstance(override, str) else ascii(override)
    return text if len(text) <= 80 else f"{text[:77]}..."
