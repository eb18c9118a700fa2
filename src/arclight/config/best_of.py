"""`experiment=best_of path=PATH`: replaced by the overrides of a `best.yaml`."""

from collections.abc import Sequence
from pathlib import Path

from arclight.config.file_overrides import require_plain
from arclight.errors import UserError
from arclight.reading import read_yaml

EXPERIMENT = "experiment=best_of"
FILE = "best.yaml"


def expand(overrides: Sequence[str]) -> list[str]:
    """Returns the command line with the best config's overrides put before its own.

    The command line wins where both set a key.

    Raises:
        UserError: the path is not given, or has no best config.
    """
    if EXPERIMENT not in overrides:
        return list(overrides)
    paths = [override.partition("=")[2] for override in overrides if override.startswith("path=")]
    if not paths or not paths[-1]:
        raise UserError(
            f"{EXPERIMENT} needs a search to take the best trial of: type path=runs/search/NAME."
        )
    own = [
        override
        for override in overrides
        if override != EXPERIMENT and not override.startswith("path=")
    ]
    given = {key_of(override) for override in own}
    return [*(override for override in read(paths[-1]) if key_of(override) not in given), *own]


def read(path: str) -> list[str]:
    """Reads the overrides from a `best.yaml`, or from the one in a folder.

    Raises:
        UserError: there is none, or it contains more than overrides of the config.
    """
    given = Path(path).expanduser()
    file = given / FILE if given.is_dir() else given
    if not file.is_file():
        raise UserError(
            f"path={path} has no {FILE}: a search writes one when a trial has finished, and "
            f"python scripts/results.py DIR best={FILE} writes one for the best of any runs."
        )
    content = read_yaml(file)
    overrides = content.get("overrides") if isinstance(content, dict) else None
    if not isinstance(overrides, list):
        raise UserError(f"{file} is not a best config: it has no list of overrides.")
    return require_plain(overrides, file)


def key_of(override: str) -> str:
    """The key of an override: `model` for `model=cnn`, `+model=cnn` and `~model`."""
    return override.lstrip("+~").partition("=")[0]
