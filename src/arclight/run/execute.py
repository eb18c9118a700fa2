"""Executes a run directory: starts or continues the run, unless it is finished.

It is also a command, `python -m arclight.run.execute DIRECTORY`, which each process of a
multi-process run executes.
"""

import errno
import gc
import os
import resource
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from arclight.config.entry import EXIT_USER_ERROR, NO_HOME, plain_errors, without_home
from arclight.config.freeze import flatten
from arclight.console import attach, log, say
from arclight.errors import UserError
from arclight.files import UNWRITABLE, unwritable, write_json
from arclight.libraries.torchmetrics import import_torchmetrics
from arclight.processes.devices import process_count, require_devices
from arclight.processes.nodes import keeps_records, this_node
from arclight.processes.watch import die_if_orphaned, die_with_watcher
from arclight.provenance.code import note_code
from arclight.provenance.manifest import git_state
from arclight.run.moved import Whereabouts, followed
from arclight.run_directory import RunDirectory, interrupted, open_run
from arclight.signals import before_forced_end, exit_on_signals, hold_signals, ignore_signals


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """For imports: they create a million permanent objects, and scanning them takes 0.5 s."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def execute(run: RunDirectory) -> int:
    """Trains the run to its end and returns the exit code of the command.

    0: finished, now or before. 1: an exception; its traceback is in `train.log`. 2: an error that
    the user can fix. 128 + n: stopped by signal n; executing it again continues the run.

    Raises:
        UserError: another process executes it, a device is missing, or its disk cannot be written.
    """
    try:
        return _execute(run)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise UserError(unwritable(run.path, error)) from error
    finally:
        exit_on_signals()  # the next job of a multirun may be stopped as well


def _execute(run: RunDirectory) -> int:
    trainer = run.config["trainer"]
    if trainer["num_nodes"] > 1 and this_node() > 0:  # the first node keeps the records
        if run.is_over:
            return 0
        require_devices(trainer)
        return _launched(run)
    with run.held():
        if run.is_over:
            print(f"{run.path} is {run.status} already; nothing to do.")
            return 0
        require_devices(trainer)
        again = run.status != "created"
        hold_signals()
        run.update_summary(
            status="running",
            error=None,
            times_resumed=run.summary["times_resumed"] + again,
        )
        if process_count(trainer) * trainer["num_nodes"] == 1:
            return _work(run)
        return _launched(run)


def _launched(run: RunDirectory) -> int:
    try:
        exit_on_signals()
        from arclight.processes.ranks import launch

        trainer = run.config["trainer"]
        return launch(run, process_count(trainer), trainer["num_nodes"])
    except SystemExit as stop:  # a signal before the processes started
        if keeps_records(run):
            run.update_summary(status="interrupted")
        return int(stop.code or 0)


def _work(run: RunDirectory, rank: int | None = None) -> int:
    """Calls `_share` while following the run directory."""
    with followed(run) as place:
        return _share(run, place, rank)


def _share(run: RunDirectory, place: Whereabouts, rank: int | None) -> int:
    """This process's share of the run; the first process keeps the directory's records.

    Args:
        rank: the rank given by the launcher; None: there is no launcher. (The environment may have
            variables of another launcher.)
    """
    first = not rank
    began = time.monotonic()

    def end(status: str, **values: object) -> None:
        ignore_signals()  # the run has ended; a signal now must not record a second ending
        die_if_orphaned()  # another execution may have locked the directory already
        if first and (found := place.now):
            seconds = found.summary.get("seconds", 0.0) + time.monotonic() - began
            found.update_summary(status=status, seconds=round(seconds, 3), **values)

    def fail(sentence: str) -> int:
        sentence = place.sentence() if place.has_left else sentence
        log.error(f"error: {sentence}")
        tell_launcher(sentence)
        with suppress(
            OSError, UserError
        ):  # the reported error may be that the disk is not writable
            end("failed", error=sentence)
        return EXIT_USER_ERROR

    def cut() -> None:
        end("interrupted")
        if rank is None:
            say(interrupted(run))

    with attach(run.log_file if first else None), before_forced_end(cut):
        try:
            exit_on_signals()
            if first:
                note_code(run, git_state, say)
            with _no_garbage_collection():
                import_torchmetrics()
                from arclight.run.fit import fit

            end(**{"status": "finished", **fit(run)})
        except UserError as error:
            return fail(str(error))
        except Exception as error:
            die_if_orphaned()
            if place.has_left:
                return fail(place.sentence())
            about_workers = isinstance(error, OSError) or "DataLoader worker" in str(error)
            if about_workers and (said := _of_workers(error)):
                return fail(said)
            if isinstance(error, OSError) and error.errno in UNWRITABLE:
                return fail(unwritable(run.path, error))
            if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
                return fail(_out_of_memory(run.config, error))
            if os.strerror(errno.EMFILE) in str(error):  # raised here or in a data worker
                return fail(_too_many_files())
            if NO_HOME in str(error):
                return fail(without_home())
            log.error(traceback.format_exc())
            tell_launcher(traceback.format_exc())
            end("failed", error=f"{type(error).__name__}: {error}")
            if rank is None:
                say(f"{run.path} failed; the traceback is also in {run.log_file}.")
            return 1
        except (SystemExit, KeyboardInterrupt) as stop:
            code = stop.code if isinstance(stop, SystemExit) and isinstance(stop.code, int) else 130
            end("interrupted")
            if rank is None:  # with several processes, the launcher reports it
                say(place.sentence() if place.has_left else interrupted(run))
            return code
        return 0


def _of_workers(error: Exception) -> str | None:
    from arclight.run.failures import of_workers  # which imports torch

    return of_workers(error)


def _out_of_memory(config: dict[str, Any], error: BaseException) -> str:
    """The error message if data or model do not fit in the machine's memory."""
    sizes = {
        key: value
        for key, value in flatten({k: config[k] for k in ("data", "model") if k in config})
        if isinstance(value, int) and value > 1 and not key.endswith("seed")
    }
    largest = sorted(sizes, key=lambda key: -sizes[key])[:3]
    named = " or ".join(f"{key}={sizes[key]}" for key in largest)
    said = " ".join(str(error).split())[:200].rstrip(".")
    return f"The machine has too little memory ({said}): reduce {named}."


def _too_many_files() -> str:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        f"{limit} open files (ulimit -n), which this machine allows, are not enough: raise "
        "the limit, such as ulimit -n 4096, or type a smaller data.num_workers."
    )


def tell_launcher(message: str) -> None:
    """Writes an error message to the file that the launcher of several processes reads."""
    file = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if file:
        write_json(Path(file), {"message": message, "timestamp": time.time()})


def main() -> int:
    """A process that the launcher started."""
    die_with_watcher()
    return _work(open_run(sys.argv[1]), int(os.environ["RANK"]))


if __name__ == "__main__":
    with plain_errors():
        sys.exit(main())
