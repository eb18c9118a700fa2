"""A paper's settings: `configs/paper/NAME.yaml` with the overrides of the command line."""

from collections.abc import Sequence
from typing import Any

from hydra import compose
from hydra.errors import HydraException
from omegaconf import OmegaConf

from arclight.config.best_of import key_of
from arclight.config.help.hydra_errors import in_a_sentence
from arclight.config.options import options
from arclight.config.signatures.annotations import fits, in_words
from arclight.config.signatures.signature import parameters
from arclight.config.suggest import did_you_mean
from arclight.errors import UserError
from arclight.paper.settings import Paper

TARGET = f"{Paper.__module__}.{Paper.__qualname__}"


def divided(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Splits overrides into those of the paper and those of its runs."""
    own = [w for w in words if key_of(w).split(".")[0] == "paper"]
    paths = [w for w in words if key_of(w) == "hydra.searchpath"]
    return [*paths, *own], [w for w in words if w not in own]


def settings_of(words: Sequence[str]) -> tuple[Paper, dict[str, Any]]:
    """Composes the paper's settings; returns them also as plain containers.

    Must be used within `hydra_ready`.

    Raises:
        UserError: no paper is given, or a setting is not valid.
    """
    known = ", ".join(options("paper"))
    if not any(key_of(word) == "paper" for word in words):
        raise UserError(f"Choose a paper: type paper=NAME with one of {known}.")
    try:
        cfg = compose("paper", overrides=list(words))
    except HydraException as error:
        raise UserError(_unknown(words) or in_a_sentence(error)) from error
    node = OmegaConf.to_container(cfg.paper, resolve=True)
    if not isinstance(node, dict):
        raise UserError(f"paper={node} is not a paper: type paper=NAME with one of {known}.")
    plain = {str(key): value for key, value in node.items()}
    _check(plain)
    paper = Paper(**plain)
    if faults := paper.faults():
        raise UserError("\n".join(faults))
    paper.all_claims()
    paper.tuning()
    return paper, plain


def _unknown(words: Sequence[str]) -> str | None:
    """The error message for the first unknown setting of a paper; None if there is none."""
    known = list(parameters(TARGET))
    for word in words:
        group, _, key = key_of(word).partition(".")
        if group == "paper" and key and key.split(".")[0] not in known:
            return f"paper.{key} is unknown{did_you_mean(key, known, 'paper.')}"
    return None


def _check(node: dict[str, Any]) -> None:
    """Raises `UserError` with one line for each key that is unknown or has a wrong type."""
    known, faults = parameters(TARGET), []
    for key, value in node.items():
        if value == "???":
            faults.append(f"paper.{key} must be given: type paper.{key}=VALUE.")
        elif key not in known:
            faults.append(f"paper.{key} is unknown{did_you_mean(key, list(known), 'paper.')}")
        elif not fits(value, known[key].annotation):
            faults.append(f"paper.{key}={value} should be {in_words(known[key].annotation)}.")
    if faults:
        raise UserError("\n".join(faults))
