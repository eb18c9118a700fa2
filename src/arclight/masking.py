"""Mask secrets in files: values from the environment, and values of keys named like secrets.

Files get `${oc.env:NAME}` instead, and the variable is read when the run is executed. A secret on
the command line is put into a variable of this process, so that child processes can read it.
"""

import logging
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from arclight.errors import UserError

SHORTEST = 8  # characters; shorter values could be common words and are not replaced in texts
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
    """Whether a value of the config is a secret, by the name of its key or by its form."""
    if not isinstance(value, str) or not value or READ.fullmatch(value):
        return False
    return bool(_KEY.search(key)) or looks_secret(value)


def looks_secret(text: str) -> bool:
    """Whether the text contains an access key of a known service, or a URL with a password."""
    return bool(_VALUE.search(text) or _URL.search(text))


def holds_secrets(code: str) -> bool:
    """Whether a file's text probably contains a secret."""
    if looks_secret(code) or masked(code) != code:
        return True
    named = (value for key, value in _ASSIGNED.findall(code) if _KEY.search(key))
    return any(set("0123456789") & set(value) for value in named)


def from_variable(name: str) -> str:
    """Returns the text to write instead of a variable's value, and masks the value from now on."""
    value = os.environ.get(name, "")
    if len(value) >= SHORTEST and not value.isalpha() and not os.path.exists(value):
        _known[value] = name
    return f"${{oc.env:{name}}}"


def from_secret(path: str, value: str) -> str:
    """Puts a secret of the command line into a variable; returns the text to write instead."""
    name = "ARCLIGHT_SECRET_" + re.sub(r"\W", "_", path).upper()
    os.environ[name] = value
    _known[value] = name
    return f"${{oc.env:{name}}}"


def masked(text: str) -> str:
    """Returns the text with each known secret replaced by `${oc.env:NAME}`."""
    for value in sorted(_known, key=len, reverse=True):
        if len(value) >= SHORTEST:
            text = text.replace(value, f"${{oc.env:{_known[value]}}}")
    return text


def masked_overrides(overrides: Sequence[str]) -> list[str]:
    """Returns the arguments of a command with secrets masked, and remembers these secrets."""
    found = []
    for override in overrides:
        key, equals, value = override.partition("=")
        path = key.lstrip("+~")
        secret = equals and is_secret(path.rpartition(".")[2], value)
        known = from_secret(path, value.strip("'\"")) if secret else ""
        found.append(f"{key}={known}" if secret else masked(override))
    return found


def mask_logs() -> None:
    """Masks secrets in all log records from now on, those of libraries too."""
    plain = logging.getLogRecordFactory()
    if getattr(plain, "masks", False):
        return

    def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = plain(*args, **kwargs)
        if _known:
            with suppress(TypeError, ValueError):  # the handler reports format errors
                message = made.getMessage()
                if (hidden := masked(message)) != message:
                    made.msg, made.args = hidden, None
        return made

    record.masks = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(record)


def from_environment(value: Any, path: str = "") -> Any:
    """Returns the value with `${oc.env:NAME}` replaced by the variables' values.

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
    user = f", but {path.lstrip('.')} reads it" if path else ""
    raise UserError(f"{name} is not set in the environment{user}: type export {name}=VALUE.")
