"""Run one job of a multirun; all jobs share a process."""

import atexit
import gc
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from arclight.cells import visible
from arclight.config.compose import typed_overrides
from arclight.config.entry import EXIT_USER_ERROR
from arclight.config.freeze import freeze, plain
from arclight.errors import UserError
from arclight.files import write_text
from arclight.masking import masked, masked_overrides
from arclight.provenance.manifest import describe
from arclight.run.execute import execute
from arclight.run_directory import RunDirectory, create


class AnotherConfigError(UserError):
    """Raised when a job's directory has another config, so the multirun is a different one."""


def start_job(make: Callable[[], RunDirectory], cfg: DictConfig) -> None:
    """Runs one job of a multirun; an error is recorded in its directory, and the next job starts.

    A signal ends all jobs, and so does a job directory with another config.

    Args:
        make: creates or finds the job's run directory.
        cfg: the composed config of the job.
    """
    code = 0
    try:
        code = execute(make())
    except AnotherConfigError as error:
        print(f"error: {visible(masked(str(error)))}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except UserError as error:
        print(f"error: {visible(masked(str(error)))}", file=sys.stderr)
        _note_failure(cfg, str(error), str(error))
    except Exception as error:
        print(masked(traceback.format_exc()), file=sys.stderr)
        message = f"{type(error).__name__}: {error}"
        _note_failure(cfg, message, traceback.format_exc())
    gc.collect()  # frees the job's reference cycles: its model may fill a GPU
    gc.freeze()  # the rest are modules: scanning them takes longer than a short job
    atexit.register(gc.unfreeze)  # some libraries warn of objects that still exist at exit
    if code >= 128:
        print("The same command continues the multirun.")
        sys.exit(code)


def _note_failure(cfg: DictConfig, error: str, log: str) -> None:
    """Creates the directory of a job that failed before it had one."""
    hydra = HydraConfig.get()
    path = Path(hydra.sweep.dir) / hydra.sweep.subdir
    if (path / "config.yaml").is_file():
        return
    try:
        config = freeze(cfg, hydra.runtime.choices)
    except UserError:  # this caused the failure
        config = plain(cfg)
    run = create(
        path, path.parent, "job", config, masked_overrides(typed_overrides(hydra)), describe(config)
    )
    run.update_summary(status="failed", error=error)
    write_text(run.log_file, log + "\n")
