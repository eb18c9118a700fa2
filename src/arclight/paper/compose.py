"""From the command's words to a paper's settings: `configs/paper/NAME.yaml` and what was typed."""

from collections.abc import Sequence
from typing import Any

from hydra import compose
from hydra.errors import HydraException
from omegaconf import OmegaConf

from arclight.config.annotations import fits, in_words
from arclight.config.best_of import key_of
from arclight.config.hydra_errors import in_a_sentence
from arclight.config.options import options
from arclight.config.signature import parameters
from arclight.config.suggest import did_you_mean
from arclight.errors import UserError
from arclight.paper.settings import Paper

TARGET = f"{Paper.__module__}.{Paper.__qualname__}"


def divided(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words about the paper, and those about each of its runs."""
    own = [w for w in words if key_of(w).split(".")[0] == "paper"]
    paths = [w for w in words if key_of(w) == "hydra.searchpath"]
    return [*paths, *own], [w for w in words if w not in own]


def settings_of(words: Sequence[str]) -> tuple[Paper, dict[str, Any]]:
    """The paper that the words name, and the same as plain containers.

    Used within `hydra_ready`.

    Raises:
        UserError: no paper is named, or a setting is not as it should be.
    """
    known = ", ".join(options("paper"))
    if not any(key_of(word) == "paper" for word in words):
        raise UserError(f"Name a paper: type paper=NAME with one of {known}.")
    try:
        cfg = compose("paper", overrides=list(words))
    except HydraException as error:
        raise UserError(_unknown(words) or in_a_sentence(error)) from error
    node = OmegaConf.to_container(cfg.paper, resolve=True)
    if not isinstance(node, dict):
        raise UserError(f"paper={node} is no paper: type paper=NAME with one of {known}.")
    plain = {str(key): value for key, value in node.items()}
    _check(plain)
    paper = Paper(**plain)
    if faults := paper.faults():
        raise UserError("\n".join(faults))
    paper.all_claims()
    paper.tuning()
    return paper, plain


def _unknown(words: Sequence[str]) -> str | None:
    """Of the first word that sets what no paper has."""
    known = list(parameters(TARGET))
    for word in words:
        group, _, key = key_of(word).partition(".")
        if group == "paper" and key and key.split(".")[0] not in known:
            return f"paper.{key} is unknown{did_you_mean(key, known)}"
    return None


def _check(node: dict[str, Any]) -> None:
    """Raises `UserError` with one line for each key that is unknown or of another type."""
    known, faults = parameters(TARGET), []
    for key, value in node.items():
        if value == "???":
            faults.append(f"paper.{key} must be given: type paper.{key}=VALUE.")
        elif key not in known:
            faults.append(f"paper.{key} is unknown{did_you_mean(key, list(known))}")
        elif not fits(value, known[key].annotation):
            faults.append(f"paper.{key}={value} should be {in_words(known[key].annotation)}.")
    if faults:
        raise UserError("\n".join(faults))
