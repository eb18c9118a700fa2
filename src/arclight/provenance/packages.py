"""The project's own packages, and the libraries that a config builds from."""

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from arclight.config.project import ENGINE, project


def owned_folders() -> list[Path]:
    """Returns the folders of the engine, the zoo and the packages of `[tool.arclight]`."""
    found: list[Path] = []
    for name in (*ENGINE, *project().packages):
        spec = importlib.util.find_spec(name)
        found += map(Path, (spec.submodule_search_locations or ()) if spec else ())
    return found


def libraries_of(config: Mapping[str, Any], versions: Mapping[str, str]) -> dict[str, str]:
    """Returns the name and version of each library that a target of the config comes from.

    Args:
        config: the config of a run.
        versions: the versions of all installed packages, by name.
    """
    known = {name.lower().replace("-", "_"): version for name, version in versions.items()}
    owned = {*ENGINE, *project().packages}
    tops = {target.partition(".")[0] for target in _targets(config)} - owned
    return {top: known[top.lower()] for top in sorted(tops) if top.lower() in known}


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(node.get("_target_"), str):
            yield node["_target_"]
        for value in node.values():
            yield from _targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from _targets(value)
