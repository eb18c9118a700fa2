"""What `--help` shows in addition to Hydra's own help, as resolvers of its template."""

import shutil
import textwrap

from omegaconf import DictConfig, OmegaConf

from arclight.config.help.formats import formats_help
from arclight.config.options import options
from arclight.config.project import PROJECT


def groups_help(choices: DictConfig) -> str:
    """The groups of the config with their options, as wide as the terminal.

    Args:
        choices: `hydra.runtime.choices`. Groups that are not in it are added with a `+`.
    """
    shown = [
        group for group in map(str, choices) if group != "fit" and not group.startswith("hydra/")
    ]
    folders = sorted((PROJECT / "configs").glob("*/*/"))
    nested = [f"+{folder.relative_to(PROJECT / 'configs').as_posix()}" for folder in folders]
    texts = {group: ", ".join(options(group.lstrip("+"))) for group in [*shown[::-1], *nested]}
    indent = max(map(len, texts)) + 2
    width = min(100, shutil.get_terminal_size((100, 24)).columns)
    return "\n".join(
        textwrap.fill(f"{group:{indent}}{text}", width, subsequent_indent=" " * indent)
        for group, text in texts.items()
        if text
    )


def register_help() -> None:
    """Makes `${groups_help:CHOICES}` and `${formats_help:OPTION}` work in Hydra's help."""

    def formats(option: str | None) -> str:
        return formats_help(option).replace("$", "$$")  # the help is a `string.Template`

    OmegaConf.register_new_resolver("groups_help", groups_help, replace=True)
    OmegaConf.register_new_resolver("formats_help", formats, replace=True)
