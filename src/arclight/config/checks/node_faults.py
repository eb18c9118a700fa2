"""Find the faults of a config node: in its target, its keys, and the nodes within it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from arclight.config.checks.allowed import refusal
from arclight.config.checks.fault import Fault
from arclight.config.layout import ENGINE_KEYS, FACTORIES, HYDRA_KEYS, OWNED, SHARED
from arclight.config.options import options
from arclight.config.project import ENGINE, project
from arclight.config.signatures.aliases import spelled_out
from arclight.config.signatures.annotations import fits, has_node, in_words, is_node
from arclight.config.signatures.kinds import KINDS, kinds
from arclight.config.signatures.lineage import is_dataclass
from arclight.config.signatures.modules import Module
from arclight.config.signatures.returns import classes, kind_wanted
from arclight.config.signatures.signature import Parameter, Signature, signature
from arclight.config.signatures.source import resolve
from arclight.config.suggest import did_you_mean, nearest
from arclight.config.typed import pasted, shown

Node = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """The position of a node in the config, and what is expected there.

    Attributes:
        group: the config group, if the node is the one that the group builds.
        wanted: the expected type; None: any type that a config can build.
        given: arguments that the run passes.
        also: further classes that may be built there.
    """

    group: str | None = None
    wanted: str | None = None
    given: frozenset[str] = frozenset()
    also: frozenset[str] = field(default_factory=frozenset)


def faults_of_node(node: Node, path: str, place: Place) -> Iterator[Fault]:
    """Yields the faults of a node with a `_target_`, and of all nodes within it."""
    target = node["_target_"]
    if message := refusal(target, place.wanted, place.also):
        yield Fault(f"{path}._target_={shown(target)} {message}", (f"{path}._target_",))
        for key, value in node.items():
            yield from within(value, f"{path}.{key}")
        return
    yield from _of_hydra_keys(node, path)
    if node.get("_partial_") is True and place.group not in (None, *FACTORIES):
        message = (
            f"{path}._partial_=true builds no object, but a run needs one: type ~{path}._partial_."
        )
        yield Fault(message, (f"{path}._partial_",))
    if place.group == "trainer":
        for key in node.keys() & OWNED.keys():
            message = f"{path}.{key} is set by the run: {OWNED[key]}."
            yield Fault(message, (f"{path}.{key}",), unset=True)
        node = {key: value for key, value in node.items() if key not in OWNED}
    known = signature(target)
    engines = _engine_keys(place.group, known)
    yield from _unknown(node, path, known, place, engines)
    for key, value in node.items():
        if key in HYDRA_KEYS or value == "???":
            continue
        if key in engines:
            if not fits(value, engines[key]):
                yield misfit(f"{path}.{key}", value, engines[key])
        elif parameter := known.parameters.get(key):
            yield from _of_value(value, f"{path}.{key}", parameter, place)
        else:  # the signature is open, or the key is already reported
            yield from within(value, f"{path}.{key}", _inside(place))
    arguments = node.get("_args_")
    arguments = arguments if isinstance(arguments, list) else []
    yield from within(arguments, f"{path}._args_", _inside(place))
    yield from _of_count(arguments, path, known, target)
    yield from _required(node, path, known, place, len(arguments))


def misfit(path: str, value: Any, expected: ast.expr | None) -> Fault:
    """The fault of a value that does not fit its annotation."""
    message = f"{path}={shown(value)} should be {in_words(expected)}."
    if isinstance(value, int | float) and fits(str(value), expected):
        message += f" For a text, type {pasted(path, str(value))}."
    return Fault(message, (path,))


def of_no_target(node: Node, path: str) -> Fault:
    """The fault of a node that has keys but no `_target_`."""
    if "_target_" in node:
        message = f"{path}._target_ is empty: type {path}._target_=PACKAGE.MODULE.CLASS."
        return Fault(message, (f"{path}._target_",))
    group = path.split(".")[0]
    choices = options(group) if path == group else []
    hint = f", or choose one: {path}={'|'.join(choices)}" if choices else ""
    keys = [f"{path}.{key}" for key in node]
    have = "have" if len(keys) > 1 else "has"
    message = (
        f"{' and '.join(keys)} {have} no effect, since {path} has no _target_: leave "
        f"{'them' if len(keys) > 1 else 'it'} out{hint}."
    )
    return Fault(message, tuple(keys))


def within(value: Any, path: str, place: Place | None = None) -> Iterator[Fault]:
    """Yields the faults of all nodes in a value, its lists and its mappings."""
    if is_node(value):
        if value["_target_"] is None:
            yield of_no_target(value, path)
        elif value["_target_"] != "???":
            yield from faults_of_node(value, path, place or Place())
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from within(inner, f"{path}.{key}", place)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from within(inner, f"{path}[{i}]", place)


def _of_hydra_keys(node: Node, path: str) -> Iterator[Fault]:
    for key, expected in HYDRA_KEYS.items():
        if key in node and not fits(node[key], expected):
            yield misfit(f"{path}.{key}", node[key], expected)


def _engine_keys(group: str | None, known: Signature) -> dict[str, ast.expr]:
    keys = ENGINE_KEYS.get(group or "", {})
    return {key: expected for key, expected in keys.items() if key not in known.parameters}


def _of_value(value: Any, path: str, parameter: Parameter, place: Place) -> Iterator[Fault]:
    if value is None and (place.group == "model" or parameter.name in place.given):
        return  # filled in by the run
    module = parameter.module
    expected = spelled_out(parameter.annotation, module)
    if not fits(value, expected, lambda named: _is_part(named, module)):
        yield misfit(path, value, expected)
        return
    if has_node(value):
        named = classes(parameter.annotation, module)
        wanted = kind_wanted(parameter.annotation, module)
        yield from within(value, path, _inside(place, named, wanted))


def _inside(place: Place, also: frozenset[str] = frozenset(), wanted: str | None = None) -> Place:
    """The place of a node nested in the node at this place."""
    given = SHARED.get(place.group, frozenset()) if place.group else place.given
    return Place(wanted=wanted, given=given, also=also)


def _is_part(named: ast.expr, module: Module | None) -> bool:
    """Whether an annotation names a class that only a node can build."""
    dotted = module.dotted(named) if module else None
    if dotted is None or dotted in KINDS:
        return dotted is not None
    owned = dotted.split(".")[0] in (*ENGINE, *project().packages)
    found = resolve(dotted) if owned else None
    if found is None or not isinstance(found.node, ast.ClassDef):
        return False
    return is_dataclass(found.node) or bool(kinds(found) - {"?"})


def _unknown(
    node: Node, path: str, known: Signature, place: Place, engines: dict[str, ast.expr]
) -> Iterator[Fault]:
    """Reports unknown keys: each with a suggestion, or all of them in one sentence."""
    if known.open:
        return
    unknown = [k for k in node if k not in known.parameters and k not in (*engines, *HYDRA_KEYS)]
    choices = [k for k in (*known.parameters, *engines) if k not in place.given]
    name = str(node["_target_"]).rpartition(".")[2]
    if len(unknown) == 1 or all(nearest(str(key), choices) for key in unknown):
        for key in unknown:
            message = (
                f"{path}.{key} is unknown to {name}{did_you_mean(str(key), choices, f'{path}.')}"
            )
            yield Fault(message, (f"{path}.{key}",), unset="[" not in path)
        return
    if keys := tuple(f"{path}.{key}" for key in unknown):
        message = f"{', '.join(keys)} are unknown to {name}{did_you_mean('', choices)}"
        yield Fault(message, keys, unset="[" not in path)


def _of_count(arguments: list[Any], path: str, known: Signature, target: str) -> Iterator[Fault]:
    if len(arguments) > len(known.positional) and not known.variadic:
        message = (
            f"{path}._args_ has {len(arguments)} values, and {target.rpartition('.')[2]} takes "
            f"{len(known.positional)} by position."
        )
        yield Fault(message, (f"{path}._args_",))


def _required(node: Node, path: str, known: Signature, place: Place, count: int) -> Iterator[Fault]:
    if node.get("_partial_") is True or place.group == "model":
        return  # the run passes the rest later
    by_position = known.positional[:count]
    for name, parameter in known.parameters.items():
        if parameter.required and name not in (*node, *by_position, *place.given):
            message = f"{path}.{name} must be given: type +{path}.{name}=VALUE."
            yield Fault(message, (f"{path}.{name}", f"{path}._target_"))
