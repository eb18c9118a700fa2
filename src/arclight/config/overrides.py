"""Prepare the overrides of a command line for Hydra."""

import re
from collections.abc import Sequence
from pathlib import Path

from arclight.config.best_of import key_of
from arclight.config.layout import COMMANDS, NAMED, ROOT
from arclight.config.options import options
from arclight.config.typed import as_typed, not_key_value
from arclight.errors import UserError


class OverridesError(UserError):
    """Raised when overrides cannot be parsed; the message has a line for each.

    Attributes:
        rest: the overrides that can be parsed.
    """

    def __init__(self, faults: Sequence[str], rest: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.rest = list(rest)


def quoted(overrides: Sequence[str]) -> list[str]:
    """Puts quotes around values that Hydra cannot read without: `data.path=Töne`, `Ann's`.

    Raises:
        OverridesError: an override has no key, or sets a config group to something that is not a
            name.
    """
    faults = {override: fault for override in overrides if (fault := _fault(override, overrides))}
    readable = [_quoted(override) for override in overrides if override not in faults]
    if faults:
        raise OverridesError(list(faults.values()), readable)
    return readable


def _fault(override: str, overrides: Sequence[str]) -> str | None:
    if key_of(override) == "" and not override.startswith("-"):  # for example =3, +=3 or ~
        return not_key_value(override, overrides)
    if said := _with_dashes(override):
        return said
    if override.endswith("=None") and not override.startswith("-"):
        return (
            f"{override} is the text None: Hydra writes None as null, so type {override[:-4]}null."
        )
    if not override.startswith(("-", "~")) and not _is_choice(override):
        return _no_choice(override)
    return None if override.startswith("-") or _is_named(override) else _no_choice(override)


def _is_named(override: str) -> bool:
    """Whether the values are texts, if the key is a config group: no option is called 3 or true."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import QuotedString
    from hydra.errors import HydraException

    group = key_of(override).partition("@")[0]
    if "=" not in override or not (options(group) or _OF_HYDRA.fullmatch(group)):
        return True
    try:
        parsed = OverridesParser.create().parse_override(override)
    except HydraException:  # it is reported later
        return True
    several = parsed.is_sweep_override()
    values = list(parsed.sweep_iterator()) if several else [parsed.value()]
    names = (str, QuotedString, dict, *(() if parsed.is_delete() else (list,)))
    return all(value is None or isinstance(value, names) for value in values)


_OF_HYDRA = re.compile(r"hydra(/\w+)?")


def _with_dashes(override: str) -> str | None:
    """What to type in place of `--seed=1` or `--seed`; None for Hydra's own flags."""
    key, equals, value = override.partition("=")
    name = key.removeprefix("--")
    if name == key or not ("." in name or name in (*ROOT, *COMMANDS) or options(name)):
        return None
    typed = f"{name}={as_typed(value) if equals else 'VALUE'}"
    return f"{key} is not a flag: keys have no dashes; type {typed}."


def _is_choice(override: str) -> bool:
    """Whether the value is a name or a list of names, if the key is a config group."""
    key, equals, value = override.partition("=")
    value = value.strip(" '\"")
    if not equals or not (value in ("", "null") or value[0] in "[{" or ".." in value):
        return True
    group = key_of(override)
    known = options(group) if key.lstrip("+").isidentifier() else []
    if known and value.startswith("[") and group not in NAMED:
        return False
    names = value.strip("[]").split(",") if value.startswith("[") else [value]
    return not known or all(name.strip(" '\"") in known for name in names)


def _no_choice(override: str) -> str:
    group = key_of(override)
    if override.startswith("~"):
        return f"{override} is not of the form ~{group} or ~{group}=NAME."
    choices = options(group.partition("@")[0])
    listed = f": the choices are {', '.join(choices)}" if choices else ""
    message = f"{override} is not one of its choices: type {group}=NAME{listed}."
    return message + (f" {group}.NAME=null leaves one of them out." if group in NAMED else "")


def _quoted(override: str) -> str:
    key, equals, value = override.partition("=")
    if not equals or override.startswith("-") or _PLAIN.fullmatch(value) or value[0] in _OPENING:
        return override
    if _BRACKETS & set(value) and not _is_there(value):
        return override
    typed = f"{key}={as_typed(value)}"
    return typed if not _is_readable(override) and _is_readable(typed) else override


_PLAIN = re.compile(r"[\w./:+-]*", re.ASCII)
_OPENING = "'\"[{("  # if it is never closed, the value is wrong


_BRACKETS = set('"[]{}()')  # special within a value, unless the value is a path


def _is_there(value: str) -> bool:
    try:
        return Path(value).expanduser().exists()
    except (OSError, RuntimeError, ValueError):
        return False


def _is_readable(override: str) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True
