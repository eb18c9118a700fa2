"""Collect all faults of a command line; Hydra alone stops at the first."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from arclight.config.best_of import key_of
from arclight.config.compose import freeze_as_composed, typed_overrides
from arclight.config.freeze import flatten, plain
from arclight.config.help.hydra_errors import culprit, in_a_sentence
from arclight.config.help.located import check_typed
from arclight.errors import UserError

Complaint = tuple[Exception, str | None]


def every_fault(arguments: Sequence[str], configs: Path) -> list[str]:
    """Returns a sentence for each fault, those that Hydra reports first.

    Composes the config repeatedly, each time without the override that failed, and checks the
    result; with `-m`, for each value of each override.

    Args:
        arguments: the command line.
        configs: the config folder.
    """
    GlobalHydra.instance().clear()
    found: dict[str, None] = {}  # keys only: each fault once, in order
    with initialize_config_dir(str(configs.resolve()), version_base="1.3"):
        overrides = _overrides(arguments)
        several = bool({"-m", "--multirun"} & set(arguments))
        for job in _jobs(overrides) if several else [overrides]:
            found |= dict.fromkeys(_of_a_job(job, arguments))
    return list(found)


def _of_a_job(overrides: list[str], arguments: Sequence[str]) -> list[str]:
    left, complaints, checked = list(overrides), list[Exception](), list[str]()
    keys: list[str] = []
    config: dict[str, Any] = {}
    while True:
        try:
            cfg = compose("train", overrides=left, return_hydra_config=True)
            config = freeze_as_composed(cfg)
            searched = {"search": plain(cfg.search)} if cfg.get("search") else {}
            keys = [*dict.fromkeys([*(k for k, _ in flatten({**config, **searched})), *config])]
            check_typed(config, typed_overrides(cfg.hydra))
        except UserError as error:
            checked = str(error).splitlines()
        except (HydraException, OmegaConfBaseException) as error:
            override = culprit(error, left)
            complaints.append(error)
            if override is not None:
                left.remove(override)
                continue
        break
    said = [in_a_sentence(error, keys, arguments, config) for error in complaints]
    return [*said, *_not_typed(checked, {key_of(one) for one in {*overrides} - {*left}})]


def _not_typed(lines: Iterable[str], removed: Collection[str]) -> Iterator[str]:
    """The lines, except about missing keys that are in an override with another fault."""
    wanted = True
    for line in lines:
        if not line.startswith(" "):  # otherwise a sample of a file, after the sentence
            key, missing, _ = line.partition(" must be given")
            wanted = not (missing and key in removed)
        if wanted:
            yield line


def _jobs(overrides: list[str]) -> Iterator[list[str]]:
    """The overrides of the first job of a multirun, and of those that differ from it in one key."""
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
    except HydraException:  # it is reported
        yield overrides
        return
    values = [
        [f"{one.get_key_element()}={value}" for value in one.sweep_string_iterator()]
        if one.is_sweep_override()
        else [one.input_line or ""]
        for one in parsed
    ]
    first = [each[0] for each in values]
    yield first
    for place, each in enumerate(values):
        for value in each[1:]:
            yield [*first[:place], value, *first[place + 1 :]]


def _overrides(arguments: Sequence[str]) -> list[str]:
    """The config overrides among the arguments; `--config-dir` counts as one."""
    flags = {"--config-dir", "-cd"}
    overrides, before = [], ""
    for argument in arguments:
        flag, _, value = argument.partition("=")
        if before in flags or (flag in flags and value):
            folder = argument if before in flags else value
            overrides.append(f"hydra.searchpath=[{Path(folder).resolve()}]")
        elif not argument.startswith("-") and ("=" in argument or argument.startswith("~")):
            overrides.append(argument)
        before = argument
    return overrides
