"""Which targets may be built from a config.

This depends on two things outside the config: `[tool.arclight]` in `pyproject.toml`, and the module
that *defines* the target. A re-export counts as the class or function that it re-exports.

- The user's packages: everything that they define.
- The engine and the zoo: classes of the types in `arclight.config.signatures.kinds`, and
  functions with a return annotation of such a type.
- Listed libraries: classes of these types, and the factories that are listed by name.
"""

from collections.abc import Collection

from arclight.config.checks.refusals import elsewhere, not_listed, not_there, wrong_kind
from arclight.config.project import ENGINE, Project, project
from arclight.config.signatures.kinds import KINDS, kinds
from arclight.config.signatures.lineage import lineage
from arclight.config.signatures.modules import Definition
from arclight.config.signatures.returns import returned
from arclight.config.signatures.source import resolve
from arclight.errors import UserError


class TargetError(UserError):
    """Raised when a target may not be built from a config."""


def require(target: object, wanted: str | None = None, also: Collection[str] = ()) -> None:
    """Raises `TargetError` with the reason if the target may not be built.

    Args:
        target: a dotted name.
        wanted: the expected type, a value of `KINDS`; None: any.
        also: canonical names of further classes that may be built here.
    """
    if reason := refusal(target, wanted, also):
        raise TargetError(f"{target} {reason}")


def refusal(target: object, wanted: str | None = None, also: Collection[str] = ()) -> str | None:
    """Returns why the target may not be built, as the end of a sentence; None if it may."""
    if not isinstance(target, str) or not _is_dotted(target):
        return "is not the dotted name of a class or function, such as mylab.model.Net."
    rules = project()
    if any(part.startswith("__") for part in target.split(".")):
        return "is a special name of Python: only classes and functions can be built."
    found = resolve(target)
    owner = (found.name if found else target).split(".")[0]
    if owner in ENGINE:
        return _of_engine(target, found, wanted, also)
    if owner in rules.packages:
        return _of_user(target, found, wanted, also)
    if _is_factory(target, found, rules):
        return None
    if owner in rules.libraries:
        if any(part.startswith("_") for part in target.split(".")):
            return "is private to its library."
        return _of_library(target, found, wanted, also)
    return not_listed(target, found)


def is_library(target: str) -> bool:
    """Whether the target is defined in an installed library, not in the project's own code."""
    found = resolve(target)
    owner = (found.name if found else target).split(".")[0]
    return owner not in (*ENGINE, *project().packages)


def _is_dotted(target: str) -> bool:
    return "." in target and all(part.isidentifier() for part in target.split("."))


def _of_engine(
    target: str, found: Definition | None, wanted: str | None, also: Collection[str]
) -> str | None:
    if found is None:
        return not_there(target)
    of = kinds(found) - {"?"} if found.is_class else returned(found)
    if _fills(found, also):
        return None
    if not of or "?" in of:
        return (
            "cannot be built from a config: the engine allows only models, tasks, data, optimizers "
            "and the like, and functions with a return annotation of such a type."
        )
    return wrong_kind(of, wanted)


def _of_user(
    target: str, found: Definition | None, wanted: str | None, also: Collection[str]
) -> str | None:
    if found is None:
        return not_there(target)
    of = kinds(found) if found.is_class else returned(found)
    if "?" in of or _fills(found, also) or not (of or found.is_class):
        return None
    return wrong_kind(of, wanted)


def _of_library(
    target: str, found: Definition | None, wanted: str | None, also: Collection[str]
) -> str | None:
    if found is None and target in KINDS:
        return wrong_kind({KINDS[target]}, wanted)
    if found is None:
        return not_there(target)
    of = kinds(found) - {"?"} if found.is_class else frozenset[str]()
    if not of:
        return elsewhere(target, found)
    return None if _fills(found, also) else wrong_kind(of, wanted)


def _fills(found: Definition, also: Collection[str]) -> bool:
    """Whether it is one of these classes or a subclass of one."""
    if not also or not found.is_class:
        return False
    return any((part if isinstance(part, str) else part.name) in also for part in lineage(found))


def _is_factory(target: str, found: Definition | None, rules: Project) -> bool:
    """Whether it is listed by name, or defined under a listed prefix."""
    if any(part.startswith("_") for part in target.split(".")):
        return False
    for name in rules.factories:
        if name in (target, found and found.name):
            return True
        prefix = name.removesuffix("*")
        if prefix != name and found and found.name.startswith(prefix) and target.startswith(prefix):
            return True
    return False
