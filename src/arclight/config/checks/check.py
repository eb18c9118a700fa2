"""Check a config against the signatures of what it builds, and report all faults together."""

from collections.abc import Iterator
from typing import Any

from arclight.config.checks.combinations import faults_of_combinations
from arclight.config.checks.fault import ConfigError, Fault
from arclight.config.checks.node_faults import Place, faults_of_node, misfit, of_no_target
from arclight.config.checks.unused import unused
from arclight.config.extensions import KEY, extensions
from arclight.config.layout import COMMAND_KEYS, GIVEN, GROUPS, NAMED, ROOT, WRITTEN
from arclight.config.options import options
from arclight.config.signatures.annotations import fits
from arclight.config.suggest import nearest
from arclight.config.typed import shown
from arclight.errors import UserError

Config = dict[str, Any]

LONGEST_NAME = 200  # file systems allow 255 bytes, and the run adds the time


def check(config: Config) -> None:
    """Checks a frozen config.

    Raises:
        ConfigError: the config has faults; the message has one line for each.
    """
    faults = [*_missing(config, ""), *_of_the_root(config), *_of_the_groups(config)]
    faults += faults_of_combinations(config)
    if faults:
        raise ConfigError(faults)


def _missing(node: Any, path: str) -> Iterator[Fault]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _missing(value, f"{path}.{key}".lstrip("."))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from _missing(value, f"{path}[{i}]")
    elif node == "???":
        yield Fault(f"{path} must be given: type {path}=VALUE.", (path,), missing=True)


def _of_the_root(config: Config) -> Iterator[Fault]:
    for key, expected in ROOT.items():
        if key in config and config[key] != "???" and not fits(config[key], expected):
            yield misfit(key, config[key], expected)
    name, runs = config.get("name", "run"), config.get("runs")
    if isinstance(runs, str) and not runs.strip():
        yield Fault("runs is empty: type runs=PATH.", ("runs",))
    if isinstance(name, str) and (
        not name.strip() or name in (".", "..") or set(name) & set("/\\") or not name.isprintable()
    ):
        message = f"name={shown(name)} should be a name of at least one letter, not a path."
        yield Fault(message, ("name",))
    elif isinstance(name, str) and len(name.encode()) > LONGEST_NAME:
        message = f"name={name[:20]}... is longer than {LONGEST_NAME} bytes: type a shorter name."
        yield Fault(message, ("name",))
    if KEY in config:
        try:
            extensions(config)
        except UserError as error:
            yield Fault(str(error), (KEY,))
    known = (*ROOT, *GROUPS, *WRITTEN, *COMMAND_KEYS)
    for key in config:
        if key not in known:
            close = nearest(str(key), known)
            hint = f": did you mean {close}?" if close else "."
            yield Fault(f"{key} is not a key of the config{hint}", (str(key),), unset=True)


def _of_the_groups(config: Config) -> Iterator[Fault]:
    whole = set(config) != {"search"}
    needless = unused(config) if whole else set(GROUPS)
    for group, wanted in GROUPS.items():
        value = config.get(group)
        if group == "callbacks" and whole and group not in config:
            message = "A run needs callbacks, at least the checkpoints: type callbacks=NAME."
            yield Fault(message, (group,))
        elif group in NAMED:
            yield from _of_several(value, group, wanted)
        elif value is not None or group in config:
            optional = group == "finetune" or (group in needless and not value)
            yield from _of_one(value, group, wanted, optional)
        elif whole and group not in ("finetune", "search", *needless):
            yield _must_be_chosen(group)


def _of_one(value: Any, group: str, wanted: str, optional: bool) -> Iterator[Fault]:
    target = value.get("_target_") if isinstance(value, dict) else None
    if target == "???":
        return  # already reported as missing
    if target is not None:
        yield from faults_of_node(value, group, Place(group, wanted, GIVEN.get(group, frozenset())))
    elif not value:
        if not optional:
            yield _must_be_chosen(group)
    elif isinstance(value, dict):
        yield of_no_target(value, group)
    else:
        yield _must_be_chosen(group, value)


def _of_several(value: Any, group: str, wanted: str) -> Iterator[Fault]:
    if value is None:
        return
    if not isinstance(value, dict):
        yield _must_be_chosen(group, value)
        return
    place = Place(group, wanted, GIVEN[group])
    for name, node in value.items():
        path = f"{group}.{name}"
        if node is None or node in ({}, "???"):
            continue
        if name == "_target_":
            message = f"{group} has several nodes: put {path} under a name, {group}.NAME._target_."
            yield Fault(message, (path,))
        elif not isinstance(node, dict):
            yield Fault(f"{path}={shown(node)} should be a node with a _target_, or null.", (path,))
        elif node.get("_target_") is None:
            yield of_no_target(node, path)
        else:
            yield from faults_of_node(node, path, place)


def _must_be_chosen(group: str, value: Any = None) -> Fault:
    choices = options(group)
    listed = f": the choices are {', '.join(choices)}" if choices else ""
    if not value:
        article = "an" if group == "optimizer" else "a"
        return Fault(f"A run needs {article} {group}: type {group}=NAME{listed}.", (group,))
    message = f"{group}={shown(value)} is not one of its choices: type {group}=NAME{listed}."
    return Fault(message, (group,))
