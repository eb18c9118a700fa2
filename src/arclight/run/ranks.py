"""Several processes for one run, started and watched by torch's own elastic launcher.

Each executes the run directory, so that all have the same config and none sees a command line.
"""

import os
import signal
import sys
from tempfile import TemporaryDirectory

from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from arclight.config.entry import EXIT_USER_ERROR
from arclight.run.directory import RunDirectory
from arclight.run.watch import WATCHER
from arclight.signals import exit_on_signals

LATE = 2  # seconds by which the launcher may notice a death after its consequences elsewhere


def launch(run: RunDirectory, processes: int, nodes: int) -> int:
    """Runs the processes to their end and returns the exit code of the whole.

    When one fails the launcher ends the others, and the first failure's traceback is shown last.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    os.environ.setdefault("TORCHELASTIC_SIGNALS_TO_HANDLE", "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1")
    os.environ[WATCHER] = str(os.getpid())
    with TemporaryDirectory(prefix="arclight-") as notes:  # where failing processes leave word
        return _run(run, processes, nodes, notes)


def _run(run: RunDirectory, processes: int, nodes: int, notes: str) -> int:
    config = LaunchConfig(
        min_nodes=nodes,
        max_nodes=nodes,
        nproc_per_node=processes,
        run_id=run.manifest["run_id"],
        rdzv_backend="c10d",
        rdzv_endpoint=os.environ.get("ARCLIGHT_RENDEZVOUS", "localhost:0"),
        max_restarts=0,
        monitor_interval=0.2,
        logs_specs=DefaultLogsSpecs(log_dir=notes),
    )
    command = [sys.executable, "-m", "arclight.run.execute", str(run.path)]
    try:
        elastic_launch(config, command[0])(*command[1:])
    except ChildFailedError as error:
        return _failed(run, *first_failure(error.failures))
    except SignalException as stop:
        if run.status in ("finished", "pruned"):
            return 0
        run.update_summary(status="interrupted", error=None)
        return 128 + int(stop.sigval)
    finally:
        exit_on_signals()  # in place of the launcher's own
    return 0


def first_failure(failures: dict[int, ProcessFailure]) -> tuple[int, ProcessFailure]:
    """The rank whose failure was the cause of the others', with what is known of it.

    A process that died without a word is noticed after those that told the time, although it may
    have died before them; one that ended by SIGTERM was told to, by the launcher.
    """

    def when(item: tuple[int, ProcessFailure]) -> tuple[bool, float]:
        failure = item[1]
        told = failure.error_file_data
        time = told.get("timestamp", failure.timestamp - LATE) if told else failure.timestamp - LATE
        return failure.exitcode == -signal.SIGTERM, float(time)

    return min(failures.items(), key=when)


def _failed(run: RunDirectory, rank: int, failure: ProcessFailure) -> int:
    """Settles the run's status, since a process that fails for another's sake may have set it."""
    code = int(failure.exitcode)
    if run.status in ("finished", "pruned"):  # the process that keeps the records had done its work
        return 0
    if code in range(128, 192):
        run.update_summary(status="interrupted", error=None)
        return code
    if code == EXIT_USER_ERROR:  # its sentence was said
        if run.status != "failed":
            run.update_summary(status="failed", error=failure.message)
        return code
    last_line = failure.message.strip().splitlines()[-1]
    run.update_summary(status="failed", error=f"process {rank}: {last_line}")
    print(f"{run.path} failed in process {rank}:\n{failure.message}", file=sys.stderr)
    return 1
