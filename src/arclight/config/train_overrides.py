"""A config from the words of `train.py`, for the scripts that take them too."""

import sys
from collections.abc import Sequence
from typing import Any

import yaml
from hydra import compose, initialize_config_dir

from arclight.config.arguments import without_cfg
from arclight.config.best_of import expand
from arclight.config.check import check
from arclight.config.freeze import freeze
from arclight.config.overrides import quoted
from arclight.config.project import PROJECT
from arclight.errors import UserError


def config_of(words: Sequence[str], name: str) -> dict[str, Any]:
    """The checked config of the words, read as `train.py` does.

    `--cfg job` among them prints it and ends the program.

    Args:
        name: of the run, which has none of its own.

    Raises:
        UserError: a word cannot be read, or the config has faults.
    """
    words, only_shown = without_cfg(words)
    for word in words:
        if word.startswith("-"):
            raise UserError(f"{word} is not of the form KEY=VALUE.")
    overrides = quoted(expand(words))
    with initialize_config_dir(str(PROJECT / "configs"), version_base="1.3"):
        config = freeze(compose("train", overrides=[f"name={name}", *overrides]))
    if only_shown:
        print(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), end="")
        sys.exit(0)
    check(config)
    return config
