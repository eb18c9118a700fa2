"""One job of a multirun, in the process that it shares with the others."""

import atexit
import gc
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from arclight.config.compose import typed_words
from arclight.config.entry import EXIT_USER_ERROR
from arclight.config.freeze import freeze, plain
from arclight.errors import UserError
from arclight.files import write_text
from arclight.masking import masked, masked_words
from arclight.provenance.manifest import describe
from arclight.run.execute import execute
from arclight.run_directory import RunDirectory, create


class AnotherConfigError(UserError):
    """A job's directory holds a job with another config, so the whole multirun is another."""


def start_job(make: Callable[[], RunDirectory], cfg: DictConfig) -> None:
    """One job of a multirun: whatever it fails of is noted in its directory, and the next begins.

    A signal ends them all, as does a directory that already holds another config.

    Args:
        make: makes or finds the job's run directory.
    """
    code = 0
    try:
        code = execute(make())
    except AnotherConfigError as error:
        print(f"error: {masked(str(error))}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)
    except UserError as error:
        print(f"error: {masked(str(error))}", file=sys.stderr)
        _note_failure(cfg, str(error), str(error))
    except Exception as error:
        print(masked(traceback.format_exc()), file=sys.stderr)
        said = f"{type(error).__name__}: {error}"
        _note_failure(cfg, said, traceback.format_exc())
    gc.collect()  # of this job, what refers to itself: its model may fill a GPU
    gc.freeze()  # what is left are modules: to look through them takes longer than a short job
    atexit.register(gc.unfreeze)  # some libraries complain of what they find undestroyed at the end
    if code >= 128:
        print("The same line continues the multirun.")
        sys.exit(code)


def _note_failure(cfg: DictConfig, error: str, log: str) -> None:
    """Makes the directory of a job that came to nothing before it had one."""
    hydra = HydraConfig.get()
    path = Path(hydra.sweep.dir) / hydra.sweep.subdir
    if (path / "config.yaml").is_file():
        return
    try:
        config = freeze(cfg, hydra.runtime.choices)
    except UserError:  # that was the failure
        config = plain(cfg)
    run = create(
        path, path.parent, "job", config, masked_words(typed_words(hydra)), describe(config)
    )
    run.update_summary(status="failed", error=error)
    write_text(run.log_file, log + "\n")
