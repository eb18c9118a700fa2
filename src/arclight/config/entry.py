"""The rim of every command: a fault that the user can mend ends as a sentence and exit code 2."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import format_exception
from types import TracebackType
from typing import TYPE_CHECKING

from arclight.config.freeze import flatten
from arclight.config.project import PROJECT
from arclight.config.suggest import did_you_mean
from arclight.config.typed import pasted
from arclight.dotenv import read_dotenv
from arclight.errors import RunFailedError, UserError
from arclight.masking import mask_logs, masked, masked_words

if TYPE_CHECKING:
    from yaml import MarkedYAMLError

EXIT_USER_ERROR = 2


@contextmanager
def plain_errors(configs: Path | None = None) -> Iterator[None]:
    """Prints user errors, and Hydra's about the command line, as sentences; exits with code 2.

    `.env` beside train.py is read first.
    `HYDRA_FULL_ERROR=1` in the environment shows the traceback instead.

    Args:
        configs: the config folder, to suggest the key that was meant.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import MarkedYAMLError

    sys.excepthook = _masked_traceback
    read_dotenv(PROJECT / ".env")
    masked_words(sys.argv[1:])  # learns what is not to be written
    mask_logs()
    full = os.environ.get("HYDRA_FULL_ERROR", "0") != "0"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let Hydra raise, so that the words are ours
    try:
        yield
    except UserError as error:
        if full:
            raise
        _end(str(error))
    except RunFailedError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except (HydraException, OmegaConfBaseException) as error:
        if full:
            raise
        _end(in_a_sentence(error, configs))
    except MarkedYAMLError as error:
        if full:
            raise
        _end(_not_yaml(error))


def _masked_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """As Python's own, without the values that no file may hold; a scheduler keeps it in one."""
    print(masked("".join(format_exception(kind, error, trace))), end="", file=sys.stderr)


def _end(sentence: str) -> None:
    print(f"error: {masked(sentence)}", file=sys.stderr)
    sys.exit(EXIT_USER_ERROR)


def in_a_sentence(error: Exception, configs: Path | None = None) -> str:
    """Hydra's complaint as what was given, what is expected, and what to type."""
    text = str(error)
    word = getattr(error, "override", None)  # of one that its grammar does not know
    if word:
        return _unreadable(str(word))
    several = re.search(r"Ambiguous value for argument '(?P<word>[^']*)'", text)
    if several:
        key, _, values = several["word"].partition("=")
        return (
            f"{several['word']} are several values: type -m {several['word']} to run each, "
            f"'{key}=[{values}]' for a list, or {pasted(key, values)} with quotes for one text."
        )
    twice = re.search(r"Multiple values for (?P<key>[\w/@]+)\. To override", text)
    if twice:
        key = twice["key"]
        typed = [w.lstrip("+") for w in sys.argv[1:] if w.startswith(f"+{key}=")]
        return f"{key} is in the config already: type {typed[0] if typed else key + '=NAME'}."
    missing = re.search(r"Could not find '(?P<group>[^']*)/(?P<option>[^'/]*)'", text)
    if missing:
        return _unknown_option(missing["group"], missing["option"], list(_options(error)))
    unknown = re.search(r"Could not override '(?P<key>[^']+)'", text)
    if unknown:
        return f"{unknown['key']} is not a key of the config{_suggest(unknown['key'], configs)}"
    group = re.search(r"Could not override '?(?P<key>[\w/@]+)'?", text)
    if group:
        return f"{group['key']} is not a group of the config{_suggest(group['key'], configs)}"
    cause = f" {error.__cause__}" if error.__cause__ else ""
    return " ".join(line.strip() for line in (text + cause).splitlines() if line.strip())


_MARKS = " '\""


def _unreadable(word: str) -> str:
    key, equals, value = word.partition("=")
    if not equals or not key.strip("+~ ") or not value.strip():
        return f"{word} is not of the form KEY=VALUE, without spaces around the sign."
    return f"{word} cannot be read: type {pasted(key, value.strip(_MARKS))} with all its quotes."


def _not_yaml(error: "MarkedYAMLError") -> str:
    mark = error.problem_mark
    where = f"{mark.name}, line {mark.line + 1}, is" if mark else "A config is"
    return f"{where} no YAML: {error.problem}."


def _options(error: Exception) -> list[str]:
    return [o for o in (getattr(error, "options", None) or []) if not o.startswith("_")]


def _unknown_option(group: str, option: str, options: list[str]) -> str:
    close = did_you_mean(option, options, f"{group}=")
    if close.startswith(": did you mean"):
        close += f" The choices are {', '.join(sorted(options))}."
    else:
        close = f": the choices are {', '.join(sorted(options))}."
    return f"{group}={option} is not there{close}"


def _suggest(key: str, configs: Path | None) -> str:
    """Composes the config without the faulty word, to know which keys there are."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    if configs is None:
        return "."
    words = [w for w in sys.argv[1:] if "=" in w and w.split("=")[0].lstrip("+~") != key]
    try:
        with initialize_config_dir(str(configs.resolve()), version_base="1.3"):
            plain = OmegaConf.to_container(compose("train", overrides=words))
    except Exception:  # another word is at fault as well
        return "; python train.py --cfg job shows those that are."
    assert isinstance(plain, dict)
    keys = [k for k, _ in flatten({str(k): v for k, v in plain.items()})]
    keys += [k for k in map(str, plain) if k not in keys]
    hint = did_you_mean(key, keys)
    if hint.startswith(": did you mean"):
        return hint
    siblings = [k for k in keys if k.rpartition(".")[0] == key.rpartition(".")[0]]
    if siblings and "." in key:
        return did_you_mean(key, siblings)
    return "; python train.py --cfg job shows those that are."
