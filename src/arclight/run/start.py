"""From a composed config to an executed run directory."""

import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from arclight.config.check import check
from arclight.config.freeze import differences, freeze
from arclight.errors import UserError
from arclight.run.directory import RunDirectory, create, newest_unfinished, open_run
from arclight.run.execute import execute
from arclight.run.manifest import describe


class RunFailedError(Exception):
    """One job of a multirun ended badly; it has already said why."""


def start(cfg: DictConfig) -> None:
    """Makes or finds the run directory that the command means, and executes it."""
    hydra = HydraConfig.get()
    run = _resumed(cfg, list(hydra.overrides.task)) if cfg.resume else _made(cfg, hydra)
    code = execute(run)
    if code and hydra.mode == RunMode.MULTIRUN and code < 128:
        raise RunFailedError(f"{run.path} failed")
    if code:
        sys.exit(code)


def _resumed(cfg: DictConfig, overrides: list[str]) -> RunDirectory:
    others = [o for o in overrides if o.split("=")[0] not in ("resume", "runs")]
    if others:
        raise UserError(
            f"resume={cfg.resume} continues a run with its own config; "
            f"leave out {' '.join(others)}."
        )
    return newest_unfinished(Path(cfg.runs)) if cfg.resume == "auto" else open_run(cfg.resume)


def _made(cfg: DictConfig, hydra: Any) -> RunDirectory:
    config = freeze(cfg)
    check(config)
    path = Path(cfg.run_dir).expanduser() if cfg.run_dir else None
    if hydra.mode == RunMode.MULTIRUN and path is None:
        path = Path(hydra.sweep.dir) / hydra.sweep.subdir
    if path and (path / "config.yaml").is_file():
        run = open_run(path)
        changes = differences(run.config, config)
        if changes:
            raise UserError(
                f"{path} is a run with another config; name another run_dir, or type "
                f"resume={path} to continue it as it was. The differences:\n  "
                + "\n  ".join(changes)
            )
        return run
    from arclight.run.devices import require_devices

    require_devices(config["trainer"])
    return create(
        path, Path(cfg.runs), config["name"], config, list(hydra.overrides.task), describe(config)
    )
