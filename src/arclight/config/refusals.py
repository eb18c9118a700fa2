"""The sentences that say why a target may not be built, and which line would allow it."""

from collections.abc import Collection, Mapping

from arclight.config.layout import GROUPS, NAMED
from arclight.config.modules import Definition, Module, load
from arclight.config.source import resolve
from arclight.config.suggest import nearest

WORDS: Mapping[str, str] = {
    "Module": "an nn.Module",
    "Optimizer": "an Optimizer",
    "LRScheduler": "an LRScheduler",
    "Search": "a search",
}

_TYPES = (
    "only classes of modules, optimizers, schedulers, callbacks, loggers, strategies, plugins, "
    "profilers, metrics, transforms, data sets and samplers can be built from a library"
)


def wrong_kind(of: Collection[str], wanted: str | None) -> str | None:
    """Where a part of another type belongs; None where it is of the type that is wanted."""
    if wanted is None or wanted in of:
        return None
    if not of:
        return f"is not {in_words(wanted)}."
    kind = sorted(of)[0]
    said = f"is {in_words(kind)}, not {in_words(wanted)}"
    group = next((g for g, k in GROUPS.items() if k == kind and g != "finetune"), None)
    if group is None:
        return f"{said}."
    named = ", under a name of its own," if group in NAMED else ""
    return f"{said}: put it in configs/{group}/{named} and type {group}=NAME."


def in_words(kind: str) -> str:
    """The type as part of a sentence: "an nn.Module", "a Callback"."""
    return WORDS.get(kind, f"a {kind}")


def not_listed(target: str, found: Definition | None) -> str:
    """Of a package that `pyproject.toml` does not name."""
    owner = (found.name if found else target).split(".")[0]
    stands_for = f"is {found.name}, which " if found and found.name != target else ""
    return (
        f"{stands_for}may not be built: its package is not one of the project's. If {owner} is a "
        f'package of yours, add "{owner}" to packages under [tool.arclight] in pyproject.toml; if '
        f"it is a library, add it to libraries there, for its classes of modules, metrics and the "
        "like."
    )


def elsewhere(target: str, found: Definition) -> str:
    """Of a library, but not a class of a type that a config can mean."""
    what = "a class of another type" if found.is_class else "a function"
    return (
        f'is {what}: {_TYPES}. To allow it all the same, add "{target}" to libraries under '
        "[tool.arclight] in pyproject.toml."
    )


def not_there(target: str) -> str:
    """Of a package that may be built from, but without a definition of that name."""
    parts = target.split(".")
    for length in range(len(parts) - 1, 0, -1):
        before = ".".join(parts[:length])
        module = load(before)
        if module is None:
            if length > 1 and resolve(before):
                return f"is not there: {before} has no class or class method {parts[length]}."
            continue
        bindings = module.names.get(parts[length], [])
        if bindings and isinstance(bindings[0], str):
            whole = ".".join([bindings[0], *parts[length + 1 :]])
            return f"stands for {whole}, which cannot be built from a config."
        if bindings:
            return f"is not there: {'.'.join(parts[: length + 1])} has no class of that name."
        close = nearest(parts[length], [n for n in names_of(module) if not n.startswith("_")])
        hint = f": did you mean {module.name}.{close}?" if close else "."
        return f"is not there: {module.name} defines no class or function {parts[length]}{hint}"
    return f"is not there: no package {parts[0]} is installed, nor in src/."


def names_of(module: Module, deep: int = 3) -> set[str]:
    """What can be named of a module: its own names, its submodules', and those of star imports."""
    found = set(module.names)
    if module.path.stem == "__init__":
        found |= {p.stem for p in module.path.parent.iterdir() if p.is_dir() or p.suffix == ".py"}
    for star in module.stars if deep else ():
        origin = load(star)
        found |= names_of(origin, deep - 1) if origin else set()
    return found
