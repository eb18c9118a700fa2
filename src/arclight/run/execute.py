"""Execute a run directory: begin it, continue it, or say that it is finished.

This is also a command, `python -m arclight.run.execute DIRECTORY`: what each process of a
multi-process run starts with.
"""

import os
import sys
import time
import traceback

from arclight.config.entry import EXIT_USER_ERROR, plain_errors
from arclight.errors import UserError
from arclight.run.console import attach, log, say
from arclight.run.devices import process_count, require_devices
from arclight.run.directory import RunDirectory, open_run
from arclight.run.nodes import this_node
from arclight.signals import exit_on_signals


def execute(run: RunDirectory) -> int:
    """Trains the run to its end and returns the exit code of the command.

    0: finished, now or before. 1: an exception, its traceback is in `train.log`. 2: a fault that
    the user can mend. 128 + n: stopped by signal n, to be continued by executing it again.
    """
    trainer = run.config["trainer"]
    if trainer["num_nodes"] > 1 and this_node() > 0:  # the first node keeps the records
        require_devices(trainer)
        return _launched(run)
    with run.held():
        if run.status == "finished":
            print(f"{run.path} is finished already; nothing to do.")
            return 0
        require_devices(trainer)
        again = run.status != "created"
        run.update_summary(
            status="running",
            error=None,
            times_resumed=run.summary["times_resumed"] + again,
        )
        if process_count(trainer) * trainer["num_nodes"] == 1:
            return _work(run)
        return _launched(run)


def _launched(run: RunDirectory) -> int:
    from arclight.run.ranks import launch

    trainer = run.config["trainer"]
    return launch(run, process_count(trainer), trainer["num_nodes"])


def _work(run: RunDirectory) -> int:
    """This process's share of the run; the first process keeps the directory's records."""
    first = os.environ.get("RANK", "0") == "0"
    began = time.monotonic()

    def end(status: str, **values: object) -> None:
        if first:
            seconds = run.summary.get("seconds", 0.0) + time.monotonic() - began
            run.update_summary(status=status, seconds=round(seconds, 3), **values)

    exit_on_signals()
    with attach(run.log_file if first else None):
        try:
            from arclight.run.fit import fit

            results = fit(run)
        except UserError as error:
            say(f"error: {error}")
            end("failed", error=str(error))
            if not first:
                raise
            return EXIT_USER_ERROR
        except Exception as error:
            log.error(traceback.format_exc())
            end("failed", error=f"{type(error).__name__}: {error}")
            if "RANK" in os.environ:
                raise  # the launcher shows the first failing process's traceback last
            say(f"{run.path} failed; the traceback is also in {run.log_file}.")
            return 1
        except (SystemExit, KeyboardInterrupt) as stop:
            code = stop.code if isinstance(stop, SystemExit) and isinstance(stop.code, int) else 130
            end("interrupted")
            say(f"Interrupted; python train.py resume={run.path} continues it.")
            return code
        end("finished", **results)
        return 0


def main() -> int:
    """A process that the launcher started."""
    from torch.distributed.elastic.multiprocessing.errors import record

    return int(record(_work)(open_run(sys.argv[1])) or 0)


if __name__ == "__main__":
    with plain_errors():
        sys.exit(main())
