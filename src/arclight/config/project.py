"""Read `[tool.arclight]` of `pyproject.toml`: the packages and libraries that may be built from.

It is always the file beside `train.py`, never one in the working directory.
"""

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from arclight.errors import UserError

PROJECT = Path(__file__).parents[3]
PYPROJECT = PROJECT / "pyproject.toml"
"""The file that is read; tests replace it."""

ENGINE = ("arclight", "arclight_zoo")
"""Packages that may be built from in part only: not everything that they define."""

PACKAGES = ("project",)
LIBRARIES = (
    *("torch", "lightning", "torchmetrics", "torchvision", "timm", "transformers", "optuna"),
    *("peft", "torchao", "deepspeed", "bitsandbytes", "mlflow", "trackio", "wandb"),
    *("timm.create_model", "torchvision.models.*"),
)


@dataclass(frozen=True)
class Project:
    """`[tool.arclight]` of `pyproject.toml`.

    Attributes:
        packages: the user's packages; everything that they define may be built.
        libraries: top-level names of libraries; their classes of the types in
            `arclight.config.signatures.kinds` may be built.
        factories: dotted names, and prefixes that end in `.*`, that may be built without a check
            of their type.
    """

    packages: tuple[str, ...] = PACKAGES
    libraries: tuple[str, ...] = tuple(name for name in LIBRARIES if "." not in name)
    factories: tuple[str, ...] = tuple(name for name in LIBRARIES if "." in name)


def project() -> Project:
    """Reads the settings from `PYPROJECT`, with defaults for missing ones.

    Raises:
        UserError: the file is not valid TOML, or a value is not a list of names.
    """
    try:
        changed = PYPROJECT.stat().st_mtime_ns
    except OSError:
        return Project()
    return _read(PYPROJECT, changed)


@lru_cache
def _read(file: Path, changed: int) -> Project:
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}).get("arclight", {})
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{file} is not valid TOML: {error}.") from error
    packages = _names(file, table, "packages", PACKAGES)
    libraries = _names(file, table, "libraries", LIBRARIES)
    return Project(
        packages,
        tuple(name for name in libraries if "." not in name),
        tuple(name for name in libraries if "." in name),
    )


def _names(
    file: Path, table: dict[str, object], key: str, default: tuple[str, ...]
) -> tuple[str, ...]:
    names = table.get(key, list(default))
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise UserError(f'{file}: {key} under [tool.arclight] should be a list such as ["mylab"].')
    return tuple(names)
