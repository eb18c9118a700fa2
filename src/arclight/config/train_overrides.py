"""Compose a config from overrides of `train.py`, for scripts that accept them too."""

import sys
from collections.abc import Sequence
from typing import Any

import yaml
from hydra import compose, initialize_config_dir

from arclight.config.arguments import without_cfg
from arclight.config.best_of import expand
from arclight.config.checks.check import check
from arclight.config.freeze import freeze
from arclight.config.overrides import quoted
from arclight.config.project import PROJECT
from arclight.errors import UserError


def config_of(words: Sequence[str], name: str) -> dict[str, Any]:
    """The checked config of the overrides, composed as by `train.py`.

    `--cfg job` prints it and ends the program.

    Args:
        name: the name of the run.

    Raises:
        UserError: an override is not valid, or the config has faults.
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
