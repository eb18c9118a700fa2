"""Explain why a target may not be built, and which setting would allow it."""

from collections.abc import Collection, Mapping

from arclight.config.layout import GROUPS, NAMED
from arclight.config.signatures.modules import Definition, Module, load
from arclight.config.signatures.source import resolve
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
    """Explains where an object of another type belongs; None if it has the expected type."""
    if wanted is None or wanted in of:
        return None
    if not of:
        return f"is not {in_words(wanted)}."
    kind = sorted(of)[0]
    reason = f"is {in_words(kind)}, not {in_words(wanted)}"
    group = next((g for g, k in GROUPS.items() if k == kind and g != "finetune"), None)
    if group is None:
        return f"{reason}."
    named = ", with its own name," if group in NAMED else ""
    return f"{reason}: put it in configs/{group}/{named} and type {group}=NAME."


def in_words(kind: str) -> str:
    """The type as part of a sentence: "an nn.Module", "a Callback"."""
    return WORDS.get(kind, f"a {kind}")


def not_listed(target: str, found: Definition | None) -> str:
    """The reason for a package that is not listed in `pyproject.toml`."""
    owner = (found.name if found else target).split(".")[0]
    alias_of = f"is {found.name}, which " if found and found.name != target else ""
    return (
        f"{alias_of}may not be built: its package is not listed. If {owner} is your own package, "
        f'add "{owner}" to packages under [tool.arclight] in pyproject.toml; if it is a library, '
        "add it to libraries there, to allow its modules, metrics and the like."
    )


def elsewhere(target: str, found: Definition) -> str:
    """The reason for a listed library's function, or class of a type that is not allowed."""
    what = "a class of another type" if found.is_class else "a function"
    return (
        f'is {what}: {_TYPES}. To allow it anyway, add "{target}" to libraries under '
        "[tool.arclight] in pyproject.toml."
    )


def not_there(target: str) -> str:
    """The reason for a name that an allowed package does not define."""
    parts = target.split(".")
    for length in range(len(parts) - 1, 0, -1):
        before = ".".join(parts[:length])
        module = load(before)
        if module is None:
            if length > 1 and resolve(before):
                return f"does not exist: {before} has no class or class method {parts[length]}."
            continue
        bindings = module.names.get(parts[length], [])
        if bindings and isinstance(bindings[0], str):
            whole = ".".join([bindings[0], *parts[length + 1 :]])
            return f"is an alias of {whole}, which cannot be built from a config."
        if bindings:
            return f"does not exist: {'.'.join(parts[: length + 1])} has no class of that name."
        close = nearest(parts[length], [n for n in names_of(module) if not n.startswith("_")])
        hint = f": did you mean {module.name}.{close}?" if close else "."
        return f"does not exist: {module.name} defines no class or function {parts[length]}{hint}"
    return f"does not exist: no package {parts[0]} is installed or in src/."


def names_of(module: Module, deep: int = 3) -> set[str]:
    """Returns the names in a module: its own, its submodules, and those of star imports."""
    found = set(module.names)
    if module.path.stem == "__init__":
        found |= {p.stem for p in module.path.parent.iterdir() if p.is_dir() or p.suffix == ".py"}
    for star in module.stars if deep else ():
        origin = load(star)
        found |= names_of(origin, deep - 1) if origin else set()
    return found
