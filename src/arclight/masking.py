"""Values that no file may hold: what is read from the environment, and what is named like a secret.

A file gets `${oc.env:NAME}` in their place, and what runs reads the variable when it runs. A secret
that was typed is put into a variable of this process, so that its own processes find it.
"""

import logging
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from arclight.errors import UserError

SHORTEST = 8  # characters of a value that is told from common words wherever it stands
READ = re.compile(r"\$\{oc\.env:([A-Za-z_]\w*)\}")

_KEY = re.compile(
    r"^tokens?$|(^|[_.\-])((api|access|private|secret|signing|encryption|account)_?keys?"
    r"|(access|auth|api|hf|hub|bearer|refresh|session|secret|id|git\w*|wandb|personal|bot)_?tokens?"
    r"|pass(wd|word|phrase)s?|pwd|secrets?|auth|authorization|bearer|credentials?)$",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"\bhf_[A-Za-z0-9]{20,}|\bsk-[\w-]{20,}|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}"
    r"|\bAKIA[0-9A-Z]{16}\b|\bxox[abprs]-[\w-]{10,}|\bglpat-[\w-]{15,}|\bAIza[\w-]{30,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]+"
)
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/@:]*:[^\s/@]+@", re.IGNORECASE)
_ASSIGNED = re.compile(r"""([A-Za-z_][\w.-]*)["']?\s*[:=]\s*["']([^"'\s]{8,})["']""")

_known: dict[str, str] = {}  # the names of variables, by their values


def is_secret(key: str, value: object) -> bool:
    """Whether a value of the config is a secret, by its key's name or by what it looks like."""
    if not isinstance(value, str) or not value or READ.fullmatch(value):
        return False
    return bool(_KEY.search(key)) or looks_secret(value)


def looks_secret(text: str) -> bool:
    """Whether the text holds a key as services give them, or a URL with a password."""
    return bool(_VALUE.search(text) or _URL.search(text))


def holds_secrets(code: str) -> bool:
    """Whether lines of a file hold what is likely a secret."""
    if looks_secret(code) or masked(code) != code:
        return True
    named = (value for key, value in _ASSIGNED.findall(code) if _KEY.search(key))
    return any(set("0123456789") & set(value) for value in named)


def from_variable(name: str) -> str:
    """What a file has in the place of a variable's value, which no file gets from now on."""
    value = os.environ.get(name, "")
    if len(value) >= SHORTEST and not value.isalpha() and not os.path.exists(value):
        _known[value] = name
    return f"${{oc.env:{name}}}"


def from_secret(path: str, value: str) -> str:
    """The same of a value that was typed: it is put into a variable of this process."""
    name = "ARCLIGHT_SECRET_" + re.sub(r"\W", "_", path).upper()
    os.environ[name] = value
    _known[value] = name
    return f"${{oc.env:{name}}}"


def masked(text: str) -> str:
    """The text with `${oc.env:NAME}` in the place of each value that is known not to be written."""
    for value in sorted(_known, key=len, reverse=True):
        if len(value) >= SHORTEST:
            text = text.replace(value, f"${{oc.env:{_known[value]}}}")
    return text


def masked_overrides(words: Sequence[str]) -> list[str]:
    """The words of a command without the values that no file may hold."""
    found = []
    for word in words:
        key, equals, value = word.partition("=")
        path = key.lstrip("+~")
        secret = equals and is_secret(path.rpartition(".")[2], value)
        known = from_secret(path, value.strip("'\"")) if secret else ""
        found.append(f"{key}={known}" if secret else masked(word))
    return found


def mask_logs() -> None:
    """From now on no line that a library logs holds such a value, at whatever level it logs."""
    plain = logging.getLogRecordFactory()
    if getattr(plain, "masks", False):
        return

    def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = plain(*args, **kwargs)
        if _known:
            with suppress(TypeError, ValueError):  # which whoever formats it will complain of
                said = made.getMessage()
                if (hidden := masked(said)) != said:
                    made.msg, made.args = hidden, None
        return made

    record.masks = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(record)


def from_environment(value: Any, path: str = "") -> Any:
    """The value with what it reads from the environment.

    Raises:
        UserError: a variable is not set.
    """
    if isinstance(value, str) and "${oc.env:" in value:
        return READ.sub(lambda found: _variable(found[1], path), value)
    if isinstance(value, dict) and "_target_" not in value:
        return {key: from_environment(one, f"{path}.{key}") for key, one in value.items()}
    if isinstance(value, list):
        return [from_environment(one, path) for one in value]
    return value


def _variable(name: str, path: str) -> str:
    if name in os.environ:
        return os.environ[name]
    of = f" for {path.lstrip('.')}" if path else ""
    raise UserError(
        f"{name} is not set in the environment, which is read{of}: export {name}=VALUE."
    )
