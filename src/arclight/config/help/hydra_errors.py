"""Explain Hydra's errors: what was given, what is expected, and what to type."""

import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from arclight.config.best_of import key_of
from arclight.config.extensions import ENDS, keeps_its_config
from arclight.config.help.formats import formats
from arclight.config.help.left_out import left_out
from arclight.config.options import options
from arclight.config.project import PROJECT
from arclight.config.suggest import did_you_mean, key_meant, nearest
from arclight.config.typed import not_key_value, pasted

FOLDS = ("data.fold", "data.folds")  # keys of data that can be cross-validated
_MARKS = " '\""
_NO_KEY = re.compile(
    r"Could not (?:override|delete from config\.|append to config\.) '(?P<key>[^']+)'"
)


def in_a_sentence(
    error: Exception,
    keys: Iterable[str] = (),
    overrides: Sequence[str] | None = None,
    config: Mapping[str, Any] | None = None,
) -> str:
    """Explains an error of Hydra: what was given, what is expected, and what to type.

    Args:
        keys: the keys of the config, to suggest the one that was meant.
        overrides: the command line; None: that of this process.
        config: the frozen config without the faulty overrides, if known.
    """
    text, overrides = str(error), sys.argv[1:] if overrides is None else overrides
    override = getattr(error, "override", None)  # set if Hydra cannot parse an override
    if override:
        return _unreadable(str(override), overrides)
    if several := _SEVERAL.search(text):
        key, _, values = several["word"].partition("=")
        return (
            f"{several['word']} has several values: type -m {several['word']} to run each, "
            f"'{key}=[{values}]' for a list, or {pasted(key, values)} with quotes for one text."
        )
    if twice := _TWICE.search(text):
        key = twice["key"] or twice["again"]
        typed = [w.lstrip("+") for w in overrides if w.startswith(f"+{key}=")]
        return f"{key} is already in the config: type {typed[0] if typed else key + '=NAME'}."
    if missing := _missing_option(text, overrides):
        return _unknown_option(*missing, error)
    if said := _another_config(overrides):
        return said
    unknown = _NO_KEY.search(text)
    resumed = [word.partition("=")[2] for word in overrides if word.startswith("resume=")]
    if unknown and resumed and not nearest(unknown["key"], ENDS):
        others = [word for word in overrides if key_of(word) == unknown["key"]]
        return keeps_its_config(resumed[-1], others)
    if unknown and config and (said := left_out(unknown["key"], config)):
        typed = [word for word in overrides if key_of(word) == unknown["key"]]
        return said.replace(f"+{unknown['key']}=VALUE", shlex.quote(f"+{typed[-1]}"))
    if unknown and unknown["key"].partition(".")[0] == "paper":
        return "A paper has its own command: type python scripts/paper.py paper=NAME."
    if unknown and unknown["key"] in FOLDS:
        return (
            f"{unknown['key']} is not a key of these data, which cannot be split into folds: folds "
            "need a dataset that is split example by example. Leave it out."
        )
    if unknown and (others := _options_with(unknown["key"])):
        group = unknown["key"].partition(".")[0]
        return (
            f"{unknown['key']} is not a key of the chosen {group}: leave it out, or choose another "
            f"{group} that has it: {', '.join(others)}."
        )
    if unknown:
        return f"{unknown['key']} is not a key of the config{key_meant(unknown['key'], keys)}"
    if group := _NO_GROUP.search(text):
        return f"{group['key']} is not a group of the config{key_meant(group['key'], keys)}"
    if removed := _REMOVED.search(text):
        group = removed["group"]
        choices = ", ".join(sorted(options(group)))
        return f"A run needs {group}: type {group}=NAME: the choices are {choices}."
    cause = f" {error.__cause__}" if error.__cause__ else ""
    return " ".join(line.strip() for line in (text + cause).splitlines() if line.strip())


def _options_with(key: str) -> list[str]:
    """Returns the options of the key's group whose files set the key, in case another was meant."""
    group, _, name = key.partition(".")
    line = re.compile(rf"^ *{re.escape(name)}:", re.MULTILINE)
    files = {option: PROJECT / "configs" / group / f"{option}.yaml" for option in options(group)}
    return [option for option, file in files.items() if line.search(file.read_text())]


_SEVERAL = re.compile(r"Ambiguous value for argument '(?P<word>[^']*)'")
_TWICE = re.compile(
    r"Multiple values for (?P<key>[\w/@]+)\. To override"
    r"|(?P<again>[\w/@]+) appears more than once in the final defaults list"
)
_NOT_FOUND = re.compile(r"Could not find '(?P<group>[^']*)/(?P<option>[^'/]*)'")


def _missing_option(text: str, overrides: Sequence[str]) -> tuple[str, str] | None:
    """The group and the option that Hydra could not find; an option may be a path by mistake."""
    for word in overrides:
        group, _, option = word.partition("=")
        option = option.strip(_MARKS)
        if "/" in option and f"Could not find '{group}/{option}'" in text:
            return group, option
    found = _NOT_FOUND.search(text)
    return (found["group"], found["option"]) if found else None


_REMOVED = re.compile(r"Error resolving interpolation '\$\{(?P<group>\w+)\}'")  # by ~GROUP
_NO_GROUP = re.compile(r"Could not override '?(?P<key>[\w/@]+)'?")


def culprit(error: Exception, overrides: Sequence[str]) -> str | None:
    """Returns the override that caused Hydra's error; None if no override did."""
    text = str(error)
    given = getattr(error, "override", None)
    if given or (several := _SEVERAL.search(text)):
        override = str(given) if given else several["word"]  # type: ignore[index]
        return override if override in overrides else None
    found = _missing_option(text, overrides)
    key = found[0] if found else ""
    for pattern in (_TWICE, _NO_KEY, _NO_GROUP):
        if not key and (match := pattern.search(text)):
            key = match["key"] or match["again"]
    named = [
        w for w in overrides if key and re.split("[=@]", w.lstrip("+~"))[0] == key.split("@")[0]
    ]
    return named[-1] if named else None


def _another_config(overrides: Sequence[str]) -> str | None:
    """What to type in place of `--config-name NAME`; None if the default config is used."""
    words = " ".join(overrides).replace("=", " ").split()
    at = next((i for i, word in enumerate(words) if word in ("--config-name", "-cn")), len(words))
    if not (name := "".join(words[at + 1 : at + 2]).rpartition("/")[2]) or name == "train":
        return None
    recipe = nearest(name, options("experiment")) or "NAME"
    return (
        "--config-name replaces configs/train.yaml, which every run needs: leave it out, and to "
        f"choose a recipe, type experiment={recipe}."
    )


def _unreadable(override: str, overrides: Sequence[str]) -> str:
    key, equals, value = override.partition("=")
    if not equals or not key.strip("+~ ") or not value.strip():
        return not_key_value(override, overrides)
    if key != key.strip():
        message = (
            f"{override} is not of the form KEY=VALUE, without spaces around the equals sign: type "
        )
        return f"{message}{key.strip()}={value.strip()}."
    return (
        f"{override} cannot be parsed: type {pasted(key, value.strip(_MARKS))} with all its quotes."
    )


def _unknown_option(group: str, option: str, error: Any) -> str:
    reading = [name for name in options(group) if formats(name, group)] if "/" in option else []
    if reading:
        return (
            f"{group}={option} is a path: type {group}=NAME {pasted(f'{group}.path', option)}, "
            f"where NAME is one of {', '.join(reading)}."
        )
    found = [o for o in (getattr(error, "options", None) or []) if not o.startswith("_")]
    found = found or options(group)
    close = did_you_mean(option, found, f"{group}=")
    if close.startswith(": did you mean"):
        close += f" The choices are {', '.join(sorted(found))}."
    else:
        close = f": the choices are {', '.join(sorted(found))}."
    return f"{group}={option} does not exist{close}"
