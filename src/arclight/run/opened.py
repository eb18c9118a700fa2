"""Open a run directory that may come from a stranger."""

from pathlib import Path

from arclight.config.check import check
from arclight.errors import UserError
from arclight.run_directory import RunDirectory, open_run


def open_checked(path: str | Path) -> RunDirectory:
    """An existing run directory whose config passes the check of one that is typed.

    Raises:
        UserError: it is not there, is not a run directory, a file of it is damaged, or its config
            does not pass.
    """
    run = open_run(path)
    config, _ = run.config, run.summary
    try:
        check(config)
    except UserError as error:
        first, *more = str(error).splitlines()
        raise UserError("\n".join([f"{run.config_file}: {first}", *more])) from error
    return run
