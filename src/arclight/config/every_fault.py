"""All that is wrong with a command line, where the config tool stops at the first."""

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from arclight.config.complaints import culprit, in_a_sentence
from arclight.config.compose import freeze_as_composed, typed_words
from arclight.config.freeze import flatten, plain
from arclight.config.located import check_typed
from arclight.errors import UserError

Complaint = tuple[Exception, str | None]


def every_fault(arguments: Sequence[str], configs: Path) -> list[str]:
    """A sentence for each fault, that of which Hydra complains first.

    The config is composed without the words at fault, one after the other, and then checked.

    Args:
        arguments: the command line.
        configs: the config folder.
    """
    GlobalHydra.instance().clear()
    left, complaints, checked = _words(arguments), list[Exception](), list[str]()
    several = bool({"-m", "--multirun"} & set(arguments))
    keys: list[str] = []
    with initialize_config_dir(str(configs.resolve()), version_base="1.3"):
        while True:
            try:
                cfg = compose("train", overrides=left, return_hydra_config=True)
                config = freeze_as_composed(cfg)
                searched = {"search": plain(cfg.search)} if cfg.get("search") else {}
                keys = [*dict.fromkeys([*(k for k, _ in flatten({**config, **searched})), *config])]
                check_typed(config, typed_words(cfg.hydra))
            except UserError as error:
                checked = str(error).splitlines()
            except (HydraException, OmegaConfBaseException) as error:
                word = culprit(error, left)
                if not (several and "Ambiguous value" in str(error)):
                    complaints.append(error)
                if word is not None:
                    left.remove(word)
                    continue
            break
    return [*(in_a_sentence(error, keys, arguments) for error in complaints), *checked]


def _words(arguments: Sequence[str]) -> list[str]:
    """Those of the config; a folder of configs that a flag names is one too."""
    flags = {"--config-dir", "-cd"}
    words, before = [], ""
    for argument in arguments:
        flag, _, value = argument.partition("=")
        if before in flags or (flag in flags and value):
            folder = argument if before in flags else value
            words.append(f"hydra.searchpath=[{Path(folder).resolve()}]")
        elif not argument.startswith("-") and ("=" in argument or argument.startswith("~")):
            words.append(argument)
        before = argument
    return words
