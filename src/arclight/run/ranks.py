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
from arclight.run.devices import cores
from arclight.run.directory import RunDirectory
from arclight.run.execute import interrupted
from arclight.run.nodes import this_node
from arclight.run.watch import WATCHER
from arclight.signals import SIGNALS, exit_on_signals

TO_SAVE = 3600  # seconds that a signalled run has for a validation and a save; torch gives it 30
LATE = 2  # seconds by which the launcher may notice a death after its consequences elsewhere


def launch(run: RunDirectory, processes: int, nodes: int) -> int:
    """Runs the processes to their end and returns the exit code of the whole.

    When one fails the launcher ends the others, and the first failure's traceback is shown last.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // processes)))
    os.environ.setdefault(
        "TORCHELASTIC_SIGNALS_TO_HANDLE", ",".join(number.name for number in SIGNALS)
    )
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(TO_SAVE))
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
        return 0 if run.is_over else _interrupted(run, 128 + int(stop.sigval))
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
    if run.is_over:  # the process that keeps the records had done its work
        return 0
    if code in range(128, 192):
        return _interrupted(run, code)
    if code == EXIT_USER_ERROR:
        if run.status != "failed":
            _settle(run, status="failed", error=failure.message)
        if rank:  # only the first process has said it
            print(f"error: {failure.message} (process {rank})", file=sys.stderr)
        return code
    last_line = failure.message.strip().splitlines()[-1]
    _settle(run, status="failed", error=f"process {rank}: {last_line}")
    print(f"{run.path} failed in process {rank}:\n{failure.message}", file=sys.stderr)
    return 1


def _interrupted(run: RunDirectory, code: int) -> int:
    _settle(run, status="interrupted", error=None)
    if this_node() == 0:
        print(interrupted(run), flush=True)
    return code


def _settle(run: RunDirectory, **values: object) -> None:
    if this_node() == 0:  # which keeps the records
        run.update_summary(**values)
