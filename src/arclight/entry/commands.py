"""`check=only` and `explain=KEY`: commands that do not train, and checks of the command line."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from arclight.cells import visible
from arclight.config.best_of import key_of
from arclight.config.checks.fault import Fault
from arclight.config.checks.node_faults import misfit
from arclight.config.compose import typed_overrides
from arclight.config.extensions import keeps_its_config
from arclight.config.freeze import freeze
from arclight.config.help.explain import explain
from arclight.config.help.located import check_typed, located
from arclight.config.layout import COMMANDS
from arclight.config.signatures.annotations import fits
from arclight.entry.extend import is_end, planned
from arclight.errors import UserError
from arclight.masking import masked

FAULTY = ".faulty"  # files in the folder of a multirun that is only checked, one for each job


def require_commands(cfg: DictConfig, hydra: Any) -> None:
    """Raises `UserError` if `run_dir`, `resume`, `check` or `explain` has the wrong type."""
    faults, given = [], OmegaConf.to_container(cfg.copy(), resolve=False)
    assert isinstance(given, dict)
    for key, expected in COMMANDS.items():
        value = given.get(key)
        if not fits(value, expected):
            faults.append(misfit(key, value, expected))
        elif isinstance(value, str) and not value.strip():
            faults.append(Fault(f"{key} is empty: type {key}=VALUE, or leave it out.", (key,)))
    if faults:
        raise UserError("\n".join(located(faults, typed_overrides(hydra))))


def require_alone(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Raises `UserError` if `resume` is combined with overrides that may not change."""
    others = [
        one
        for one in overrides
        if not is_end(one) and key_of(one) not in ("resume", "runs", "check", "extend")
    ]
    if others:
        raise UserError(keeps_its_config(cfg.resume, others))


def require_no_extend(overrides: Sequence[str]) -> None:
    """Raises `UserError` if `extend` is given and nothing is extended."""
    typed = [one for one in overrides if key_of(one) == "extend"]
    keys = {key_of(one) for one in overrides}
    if typed and not ("resume" in keys and any(map(is_end, overrides))):
        raise UserError(
            f"{typed[0]} says what the schedule does when a run gets another end: type it "
            "together with resume=RUN trainer.max_epochs=N."
        )


def checked(cfg: DictConfig, hydra: Any) -> dict[str, Any]:
    """Freezes and checks the config of the command.

    Raises:
        UserError: the config has faults; the message has one line for each.
    """
    config = freeze(cfg, hydra.runtime.choices, hydra.overrides.task)
    check_typed(config, typed_overrides(hydra))
    return config


def check_only(cfg: DictConfig, hydra: Any) -> None:
    """Checks the config and that the machine has the devices; reads no data.

    Raises:
        UserError: the config has faults, or a device is missing.
    """
    from arclight.processes.devices import require_devices

    if cfg.resume:
        require_alone(cfg, typed_overrides(hydra))
        from arclight.run.opened import open_checked

        run, name = open_checked(cfg.resume), str(cfg.resume)
        overrides = typed_overrides(hydra)
        ends = any(map(is_end, overrides))
        config = planned(run, cfg, overrides).config if ends else run.config
    elif cfg.get("search"):
        from arclight.search.run_search import search

        search(cfg, only_check=True)
        print(f"The search {cfg.search.name} is valid. Nothing was started: check=only.")
        return
    else:
        config = checked(cfg, hydra)
        name = config["name"]
    require_devices(config["trainer"], hydra.runtime.choices.get("trainer"))
    print(f"The config of {name} is valid. Nothing was started: check=only.")


def check_job(cfg: DictConfig, hydra: Any) -> None:
    """Checks one job of a multirun like `check_only`, and lets the next one be checked.

    A faulty job leaves a file in the multirun's folder, which is temporary: the jobs may be checked
    in different processes.
    """
    try:
        check_only(cfg, hydra)
    except UserError as error:
        print(f"error: {visible(masked(str(error)))}", file=sys.stderr)
        folder = Path(hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{hydra.job.num}{FAULTY}").touch()


def explain_only(cfg: DictConfig, hydra: Any) -> None:
    """Prints where the value of a key was set.

    Raises:
        UserError: the config has no such key.
    """
    print(explain(cfg, cfg.explain, typed_overrides(hydra)))
