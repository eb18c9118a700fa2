"""Composes a trial's config with Hydra from the overrides and the trial's values."""

import copy
import json
from dataclasses import replace
from typing import Any

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from arclight.config.checks.check import check
from arclight.config.compose import chosen_options, composed, freeze_as_composed
from arclight.config.freeze import flatten
from arclight.config.help.hydra_errors import in_a_sentence
from arclight.config.help.left_out import left_out
from arclight.config.overrides import quoted
from arclight.config.suggest import did_you_mean
from arclight.errors import UserError
from arclight.search.space import ABSENT, Assignment, Parameter, assignments, lookup


class Composer:
    """Composes the configs of trials; each combination of config groups is composed once.

    Must be used within `hydra_ready`.

    Args:
        overrides: of the command line.
        space: parameters, whose keys are config groups or keys of the config.
    """

    def __init__(self, overrides: list[str], space: list[Parameter]) -> None:
        self.overrides = overrides
        self._composed: dict[tuple[str, ...], DictConfig] = {}
        choices = self._compose(()).hydra.runtime.choices
        self.groups = [p for p in space if p.key in choices]
        self.keys = [p for p in space if p.key not in choices]
        self.base = self.config({})

    def config(self, values: Assignment) -> dict[str, Any]:
        """The frozen config of a trial with these values.

        Raises:
            UserError: a group, option or key does not exist.
        """
        cfg = copy.deepcopy(self._compose(self._words(values)))
        for key, value in values.items():
            if key in [g.key for g in self.groups]:
                continue
            try:
                OmegaConf.update(cfg, key, value, merge=False)
            except OmegaConfBaseException as error:
                raise UserError(_unknown(key, freeze_as_composed(cfg))) from error
        return freeze_as_composed(cfg)

    def choices(self, values: Assignment) -> dict[str, str | None]:
        """The options of the config groups for a trial with these values."""
        return chosen_options(self._compose(self._words(values)).hydra)

    def _words(self, values: Assignment) -> tuple[str, ...]:
        return tuple(f"{g.key}={values[g.key]}" for g in self.groups if g.key in values)

    def _compose(self, words: tuple[str, ...]) -> DictConfig:
        if words not in self._composed:
            chosen = [word.split("=")[0] for word in words]
            typed = [o for o in self.overrides if o.split("=")[0] not in chosen]
            self._composed[words] = composed([*typed, *quoted(words)])
        return self._composed[words]


def as_overrides(values: Assignment) -> list[str]:
    """The values as overrides."""
    return [f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in values.items()]


def fitted(space: list[Parameter], composer: Composer) -> list[Parameter]:
    """Checks every candidate of the space against the config, for every choice of groups.

    Returns:
        The space; a range is one of real numbers if the config's value is a float.

    Raises:
        UserError: one line for each unknown key and each invalid candidate.
    """
    faults: dict[str, None] = {}  # keys only: each fault once, in order
    real: set[str] = set()
    for groups in assignments(composer.groups):
        try:
            config = composer.config(groups)
            check(config)
        except (UserError, HydraException) as error:
            said = str(error) if isinstance(error, UserError) else in_a_sentence(error)
            faults |= dict.fromkeys(f"search.space: {line}" for line in said.splitlines())
            continue
        for parameter in composer.keys:
            if _may_be_active(parameter, groups, composer):
                faults |= dict.fromkeys(_misfits(parameter, config))
                if isinstance(lookup(config, parameter.key), float):
                    real.add(parameter.key)
    if faults:
        raise UserError("\n".join(faults))
    return [replace(p, real=p.real or p.key in real) for p in space]


def _may_be_active(parameter: Parameter, groups: Assignment, composer: Composer) -> bool:
    """Whether the parameter can exist with this choice of groups."""
    names = [g.key for g in composer.groups]
    for key, values in parameter.when:
        if key in names:
            if groups.get(key, ABSENT) not in values:
                return False
        elif not _may_be_active(next(p for p in composer.keys if p.key == key), groups, composer):
            return False
    return True


def _misfits(parameter: Parameter, config: dict[str, Any]) -> list[str]:
    key = parameter.key
    if lookup(config, key) is ABSENT:
        return [f"search.space: {_unknown(key, config)}"]
    found: list[str] = []
    for value in parameter.bounds:
        changed = copy.deepcopy(config)
        parent, _, name = key.rpartition(".")
        (lookup(changed, parent) if parent else changed)[name] = value
        try:
            check(changed)
        except UserError as error:
            found += [f"search.space: {line}" for line in str(error).splitlines()]
    return found


def _unknown(key: str, config: dict[str, Any]) -> str:
    if said := left_out(key, config):
        return said
    known = [k for k, _ in flatten(config)]
    siblings = [k for k in known if k.rpartition(".")[0] == key.rpartition(".")[0]]
    hint = did_you_mean(key, known)
    if not hint.startswith(": did you mean"):
        hint = did_you_mean(key, siblings) if siblings else "."
    return f"{key} is not a key of the config{hint}"
