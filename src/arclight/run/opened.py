"""Opens a run directory from an untrusted source, or finds the run to continue."""

import os
import sys
from pathlib import Path

from arclight.config.checks.check import check
from arclight.errors import UserError
from arclight.run_directory import RunDirectory, open_run, resumed, unfinished


def open_checked(path: str | Path) -> RunDirectory:
    """Opens an existing run directory and checks its config like one from the command line.

    Raises:
        UserError: the directory does not exist or is not a run directory, one of its files is
            damaged, or its config is not valid.
    """
    run = open_run(path)
    config, _ = run.config, run.summary
    try:
        check(config)
    except UserError as error:
        first, *more = str(error).splitlines()
        raise UserError("\n".join([f"{run.config_file}: {first}", *more])) from error
    return run


def newest_unfinished(root: Path) -> RunDirectory:
    """The newest unfinished run under `root`; runs that would fail again are reported and skipped.

    Raises:
        UserError: there is none.
    """
    skipped = 0
    for run in unfinished(root):
        reason = _why_not(run)
        if reason is None:
            return run
        print(f"resume=auto skips {run.path}: {reason}", file=sys.stderr)
        skipped += 1
    more = f" besides the {skipped} that it skipped" if skipped else ""
    raise UserError(f"resume=auto found no unfinished run under {os.fspath(root)}{more}.")


def _why_not(run: RunDirectory) -> str | None:
    """Why the run would fail again; None: it may succeed."""
    try:
        open_checked(run.path)
        summary, has_trained = run.summary, run.has_trained
    except UserError as error:
        return str(error).partition("\n")[0]
    if summary["status"] != "failed":
        return None
    said = str(summary.get("error") or "no error is recorded").partition("\n")[0]
    again = f"{said} Type {resumed(run)} to try it again."
    if not has_trained:
        return f"it failed before its first checkpoint: {again}"
    # the exception of arclight.training.finite: the same steps would be computed again
    return f"it would diverge again: {again}" if said.startswith("NonFiniteError: ") else None
