"""Build objects from config nodes."""

import functools
import importlib
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from types import TracebackType
from typing import Any

from arclight.config.checks.allowed import is_library, require
from arclight.config.layout import ENGINE_KEYS, GROUPS, HYDRA_KEYS, SHARED
from arclight.config.only_reading import OnlyReadingError, guarded, is_wanted, wants_more
from arclight.config.project import ENGINE, project
from arclight.config.signatures.annotations import has_node, is_node
from arclight.config.signatures.kinds import kinds
from arclight.config.signatures.returns import classes
from arclight.config.signatures.signature import Signature, signature
from arclight.config.signatures.source import resolve
from arclight.config.suggest import did_you_mean
from arclight.errors import UserError
from arclight.libraries.huggingface import offline
from arclight.masking import from_environment

LONGEST = 300  # characters shown of a library's error message


def build(node: Mapping[str, Any], /, *, group: str | None = None, **given: Any) -> Any:
    """Calls the node's `_target_` with the node's other keys; nested nodes are built first.

    Hydra's keys `_partial_`, `_args_`, `_recursive_` and `_convert_` work (containers are always
    plain).

    Args:
        node: a config mapping with a `_target_`. The target is checked here again, so that configs
            read from disk are checked too.
        group: the config group, which sets the expected type of the result; None: any type.
        given: arguments that the run adds. They win over the node's; those that the target does not
            take are left out.

    Raises:
        UserError: the target may not be built, does not take a key, or belongs to a library that
            does not accept the arguments.
    """
    engines = ENGINE_KEYS.get(group or "", {})
    shared = {k: v for k, v in given.items() if k in SHARED.get(group or "", ())}
    return _build(node, group or "", GROUPS.get(group or ""), (), engines, given, shared)


def find(target: str, group: str | None = None) -> Any:
    """Imports the class or function with this dotted name.

    Raises:
        TargetError: it may not be built from a config.
    """
    require(target, GROUPS.get(group or ""))
    return _imported(target)


def _build(
    node: Mapping[str, Any],
    path: str,
    wanted: str | None,
    also: Collection[str],
    engines: Collection[str],
    given: Mapping[str, Any],
    shared: Mapping[str, Any],
) -> Any:
    target = node.get("_target_")
    require(target, wanted, also)
    assert isinstance(target, str)
    known = signature(target)
    made = _imported(target)
    extra = {key for key in engines if key not in known.parameters}
    values = {k: v for k, v in node.items() if k not in HYDRA_KEYS and k not in extra}
    values = {k: from_environment(v, f"{path}.{k}") for k, v in values.items()}
    positional = from_environment(list(node.get("_args_") or ()), path)
    if node.get("_recursive_", True):
        positional = _value(positional, f"{path}._args_", (), shared)
        values = {
            k: _value(v, f"{path}.{k}", _also(known, k), shared) if has_node(v) else v
            for k, v in values.items()
        }
    names, any_other = _keywords(made, known)
    if not any_other and (unknown := [k for k in values if k not in names]):
        hint = did_you_mean(unknown[0], names)
        raise UserError(f"{f'{path}.{unknown[0]}'.lstrip('.')} is unknown to {target}{hint}")
    values |= {k: v for k, v in given.items() if k in names}
    if node.get("_partial_"):
        called = made if not is_library(target) else _reading(made, target, path)
        return functools.partial(called, *positional, **values)
    return _called(made, target, path, positional, values)


def _also(known: Signature, key: str) -> Collection[str]:
    parameter = known.parameters.get(key)
    return classes(parameter.annotation, parameter.module) if parameter else ()


def _value(value: Any, path: str, also: Collection[str], shared: Mapping[str, Any]) -> Any:
    if is_node(value):
        return _build(value, path.lstrip("."), None, also, (), shared, shared)
    if isinstance(value, dict):
        return {k: _value(v, f"{path}.{k}", also, shared) for k, v in value.items()}
    if isinstance(value, list):
        return [_value(v, f"{path}[{i}]", also, shared) for i, v in enumerate(value)]
    return value


def _imported(target: str) -> Any:
    """Imports from the defining module, so that exactly what was checked is built."""
    found = resolve(target)
    if found is not None:
        made: Any = importlib.import_module(found.module.name)
        for name in found.qualname.split("."):
            made = getattr(made, name)
        if found.is_class and not isinstance(made, type):
            raise UserError(f"{target} is a class in its source, but not after its import.")
        return made
    module, _, name = target.rpartition(".")  # listed by name, without readable source
    return getattr(importlib.import_module(module), name)


def _keywords(made: Callable[..., Any], known: Signature) -> tuple[set[str], bool]:
    """The keyword arguments that it takes, and whether it takes any others (`**kwargs`)."""
    names = set(known.parameters)
    if not known.open:
        return names, False
    try:
        found = inspect.signature(made).parameters.values()
    except (TypeError, ValueError):  # implemented in C
        return names, True
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    any_other = any(p.kind is p.VAR_KEYWORD for p in found)
    real = {p.name for p in found if p.kind in named}
    return (names | real, True) if any_other else (real, False)


def _called(
    made: Callable[..., Any], target: str, path: str, positional: list[Any], values: dict[str, Any]
) -> Any:
    if not is_library(target):
        return made(*positional, **values)
    only_reads = _only_reads(target, path)
    try:
        with _guard_reading() if only_reads else nullcontext():
            return made(*positional, **values)
    except OnlyReadingError as error:
        raise UserError(wants_more(f"{f'{path}: ' if path else ''}{target}", error)) from error
    except Exception as error:
        theirs = type(error).__module__.split(".")[0] == target.split(".")[0]
        if not (only_reads or theirs or isinstance(error, TypeError | ValueError | ImportError)):
            raise
        if _passed_through_own_code(error.__traceback__):
            raise
        where = f"{path}: " if path else ""
        message = " ".join(str(error).split())[:LONGEST]
        raise UserError(f"{where}{target} does not accept this: {message}") from error


@contextmanager
def _guard_reading() -> Iterator[None]:
    """Allows only reading. Offline mode keeps the hub's library from retrying the network."""
    with guarded(), offline(True):
        yield


def _only_reads(target: str, path: str) -> bool:
    """Whether a library's class at this path of the config may only read."""
    found = resolve(target)
    return is_wanted(path, kinds(found) if found and found.is_class else ())


def _reading(made: Callable[..., Any], target: str, path: str) -> Callable[..., Any]:
    """Wraps what a partial calls later, so that it may only read as well."""
    if not _only_reads(target, path):
        return made

    @functools.wraps(made, updated=())
    def called(*positional: Any, **values: Any) -> Any:
        return _called(made, target, path, [*positional], values)

    return called


def _passed_through_own_code(traceback: TracebackType | None) -> bool:
    """Whether the error passed through the project's code: then the arguments are not the cause."""
    own = {*ENGINE, *project().packages}
    frame = traceback and traceback.tb_next  # past `_called`
    while frame:
        module = str(frame.tb_frame.f_globals.get("__name__", ""))
        if module.split(".")[0] in own:
            return True
        frame = frame.tb_next
    return False
