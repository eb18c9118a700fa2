"""Start a command: from the composed config to the execution of a run directory."""

import os
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from arclight.cells import visible
from arclight.config.compose import chosen_options, typed_overrides
from arclight.config.entry import EXIT_USER_ERROR
from arclight.config.freeze import differences
from arclight.config.only_reading import only_reading
from arclight.config.typed import pasted
from arclight.entry.commands import (
    check_job,
    check_only,
    checked,
    explain_only,
    require_alone,
    require_commands,
    require_no_extend,
)
from arclight.entry.extend import extend, is_end, planned
from arclight.entry.job import AnotherConfigError, start_job
from arclight.errors import RunFailedError, UserError
from arclight.masking import masked, masked_overrides
from arclight.processes.nodes import refuse_torchrun, this_node, wait_for
from arclight.provenance.code import warn_of_changes
from arclight.provenance.manifest import describe
from arclight.run.execute import execute
from arclight.run.opened import newest_unfinished, open_checked
from arclight.run_directory import RunDirectory, create


def start(cfg: DictConfig) -> None:
    """Creates or finds the run directory of the command and executes it.

    Exits with the run's exit code; a job of a multirun returns instead, even if it failed.
    """
    hydra = HydraConfig.get()
    several = hydra.mode == RunMode.MULTIRUN
    try:
        os.chdir(hydra.runtime.cwd)  # hydra.job.chdir=true: paths mean what they mean where typed
        refuse_torchrun()
        require_commands(cfg, hydra)
        require_no_extend(typed_overrides(hydra))
        if cfg.get("explain"):
            explain_only(cfg, hydra)
            return
        if cfg.get("check"):
            (check_job if several else check_only)(cfg, hydra)
            return
        if several and not cfg.get("search"):
            start_job(lambda: _made(cfg, hydra), cfg)
            return
        if cfg.get("search"):
            _search(cfg, several)
            return
        if cfg.preflight == "only" and not cfg.resume:
            _preflight(cfg, hydra)
            return
        run = _resumed(cfg, typed_overrides(hydra)) if cfg.resume else _made(cfg, hydra)
        one_node = run.config["trainer"]["num_nodes"] == 1  # otherwise, other nodes read the folder
        is_new = one_node and not cfg.resume and run.status == "created"
        if run.is_over:  # otherwise, its execution warns
            warn_of_changes(run)
        with only_reading() if cfg.resume else nullcontext():
            code = execute(run)
    except UserError as error:
        if several and not (cfg.get("check") or cfg.get("explain")):
            raise RunFailedError(str(error)) from error
        # Printed here, since Hydra would add a line to the message.
        print(f"error: {visible(masked(str(error)))}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    if code == EXIT_USER_ERROR and is_new and run.path.is_dir() and not run.has_trained:
        shutil.rmtree(run.path)  # the error is already printed; this frees the name of the run
    if code:
        sys.exit(code)


def _preflight(cfg: DictConfig, hydra: Any) -> None:
    config = checked(cfg, hydra)
    from arclight.entry.preflight import preflight_only

    preflight_only(config)


def _search(cfg: DictConfig, several: bool) -> None:
    from arclight.search.run_search import search

    code = search(cfg)
    if code and several and code < 128:
        raise RunFailedError(f"trials of the search {cfg.search.name} failed")
    if code:
        sys.exit(code)


def _resumed(cfg: DictConfig, overrides: list[str]) -> RunDirectory:
    require_alone(cfg, overrides)
    auto = cfg.resume == "auto"
    run = newest_unfinished(Path(cfg.runs)) if auto else open_checked(str(cfg.resume))
    if any(map(is_end, overrides)):
        if run.config["trainer"]["num_nodes"] > 1 and this_node() > 0:
            return wait_for(run.path, again=True)
        extend(run, planned(run, cfg, overrides))
    return run


def _made(cfg: DictConfig, hydra: Any) -> RunDirectory:
    config = checked(cfg, hydra)
    path = Path(str(cfg.run_dir)).expanduser() if cfg.run_dir else None
    if config["trainer"]["num_nodes"] > 1:
        if path is None:
            raise UserError(
                "A run on several nodes needs a name: type run_dir=PATH on all of them."
            )
        if this_node() > 0:
            return wait_for(path)
    if hydra.mode == RunMode.MULTIRUN and path is None:
        path = Path(hydra.sweep.dir) / hydra.sweep.subdir
    if path and (path / "config.yaml").is_file():
        run = open_checked(path)
        changes = differences(run.config, config)
        if changes and hydra.mode == RunMode.MULTIRUN:
            raise AnotherConfigError(
                f"{path} is a job of the same command with another config, since config files have "
                "changed. Restore them to continue, or type hydra.sweep.dir=PATH to start again. "
                "The differences:\n  " + "\n  ".join(changes)
            )
        if changes:
            raise UserError(
                f"{path} is a run with another config: choose another run_dir, or type "
                f"{pasted('resume', str(path))} to continue it with its own config. The "
                "differences:\n  " + "\n  ".join(changes)
            )
        return run
    from arclight.processes.devices import require_devices

    require_devices(config["trainer"], hydra.runtime.choices.get("trainer"))
    manifest = {**describe(config), "choices": chosen_options(hydra)}
    overrides = masked_overrides(typed_overrides(hydra))
    sys.argv[1:] = masked_overrides(sys.argv[1:])  # W&B saves the command line
    return create(path, Path(cfg.runs), config["name"], config, overrides, manifest)
