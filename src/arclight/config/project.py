"""What may be built, as `pyproject.toml` says it: the project's packages, and libraries.

The file is the one beside `train.py`, never the working directory's.
"""

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from arclight.errors import UserError

PROJECT = Path(__file__).parents[3]
PYPROJECT = PROJECT / "pyproject.toml"
"""The file that is read. Tests point it elsewhere."""

ENGINE = ("arclight", "arclight_zoo")
"""Packages of which only parts are built, not whatever they define."""

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
        packages: the user's packages: anything that they define may be built.
        libraries: top names of libraries whose classes may be built, where they are of a type that
            a config can mean.
        factories: dotted names, and prefixes that end in `.*`, that may be built whatever they are.
    """

    packages: tuple[str, ...] = PACKAGES
    libraries: tuple[str, ...] = tuple(name for name in LIBRARIES if "." not in name)
    factories: tuple[str, ...] = tuple(name for name in LIBRARIES if "." in name)


def project() -> Project:
    """What `PYPROJECT` says; the defaults where it says nothing.

    Raises:
        UserError: the file is no TOML, or a value is not a list of names.
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
        raise UserError(f"{file} is no TOML: {error}.") from error
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
