"""Run several processes for one run, started and watched by torch's elastic launcher.

Each process executes the run directory, so all have the same config and none parses a command line.
"""

import os
import signal
import sys
from tempfile import TemporaryDirectory

import torch.distributed as dist
from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.elastic.rendezvous.api import RendezvousError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from arclight.config.entry import EXIT_USER_ERROR
from arclight.processes.devices import cores
from arclight.processes.nodes import keeps_records
from arclight.processes.watch import WATCHER
from arclight.run_directory import RunDirectory, interrupted
from arclight.signals import SIGNALS, exit_on_signals

RENDEZVOUS = "ARCLIGHT_RENDEZVOUS"  # in the environment: HOST:PORT on the first of several nodes
TO_SAVE = 3600  # seconds for a validation and a checkpoint after a signal; torch's default is 30
LATE = 2  # seconds; the launcher may notice a dead process later than the failures it causes


def launch(run: RunDirectory, processes: int, nodes: int) -> int:
    """Runs the processes until they end and returns the exit code of the run.

    If one fails, the launcher stops the others, and the traceback of the first failure is printed
    last.
    """
    before = dict(os.environ)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // processes)))
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(TO_SAVE))
    os.environ[WATCHER] = str(os.getpid())
    # Import from the same places as this process, but not from the working directory (hence -P).
    os.environ["PYTHONPATH"] = os.pathsep.join(place for place in sys.path if place)
    try:
        with TemporaryDirectory(prefix="arclight-") as notes:  # processes write their errors here
            return _run(run, processes, nodes, notes)
    finally:  # the next job of a multirun may have another number of processes
        os.environ.clear()
        os.environ.update(before)


def _run(run: RunDirectory, processes: int, nodes: int, notes: str) -> int:
    config = LaunchConfig(
        min_nodes=nodes,
        max_nodes=nodes,
        nproc_per_node=processes,
        run_id=run.manifest["run_id"],
        rdzv_backend="c10d",
        rdzv_endpoint=os.environ.get(RENDEZVOUS, "localhost:0"),
        max_restarts=0,
        monitor_interval=0.2,
        signals_to_handle=",".join(number.name for number in SIGNALS),
        logs_specs=DefaultLogsSpecs(log_dir=notes),
    )
    command = [sys.executable, "-P", "-m", "arclight.run.execute", str(run.path)]
    try:
        elastic_launch(config, command[0])(*command[1:])
    except ChildFailedError as error:
        return _failed(run, *first_failure(error.failures))
    except SignalException as stop:
        return 0 if run.is_over else _interrupted(run, 128 + int(stop.sigval))
    except (RendezvousError, dist.DistError) as error:
        return _not_met(run, config.rdzv_endpoint, error)
    except Exception as error:
        if not run.is_over:
            _settle(run, status="failed", error=f"{type(error).__name__}: {error}")
        raise
    finally:
        exit_on_signals()  # replaces the launcher's handlers
    return 0


def first_failure(failures: dict[int, ProcessFailure]) -> tuple[int, ProcessFailure]:
    """Returns the rank that failed first, which made the others fail, and its failure.

    A process that died without an error file is noticed later than those that wrote the time of
    their error, although it may have died first. A process that ended by SIGTERM was stopped by the
    launcher.
    """

    def when(item: tuple[int, ProcessFailure]) -> tuple[bool, float]:
        failure = item[1]
        data = failure.error_file_data
        time = data.get("timestamp", failure.timestamp - LATE) if data else failure.timestamp - LATE
        return failure.exitcode == -signal.SIGTERM, float(time)

    return min(failures.items(), key=when)


def _failed(run: RunDirectory, rank: int, failure: ProcessFailure) -> int:
    """Sets the run's status, since a process that failed because of another may have set it."""
    code = int(failure.exitcode)
    if run.is_over:  # the process that writes the status was done
        return 0
    if code in range(128, 192):
        return _interrupted(run, code)
    if code == EXIT_USER_ERROR:
        if run.status != "failed":
            _settle(run, status="failed", error=failure.message)
        if rank:  # only rank 0 has printed its error
            print(f"error: {failure.message} (process {rank})", file=sys.stderr)
        return code
    last_line = failure.message.strip().splitlines()[-1]
    _settle(run, status="failed", error=f"process {rank}: {last_line}")
    print(f"{run.path} failed in process {rank}:\n{failure.message}", file=sys.stderr)
    return 1


def _not_met(run: RunDirectory, endpoint: str, error: Exception) -> int:
    """Handles launchers of several nodes that could not connect, or lost their connection."""
    if run.is_over:
        return 0
    reason = " ".join(str(error.__cause__ or error).split("\n")[0].split()).rstrip(".")
    sentence = (
        f"The processes of {run.path} could not connect, or lost their connection, at {endpoint} "
        f"({reason}): check that all nodes are running and reach it, or set another address by "
        f"{RENDEZVOUS}=HOST:PORT, and type the same command again."
    )
    if run.status != "failed":
        _settle(run, status="failed", error=sentence)
    print(f"error: {sentence}", file=sys.stderr)
    return EXIT_USER_ERROR


def _interrupted(run: RunDirectory, code: int) -> int:
    _settle(run, status="interrupted", error=None)
    if keeps_records(run):
        print(interrupted(run), flush=True)
    return code


def _settle(run: RunDirectory, **values: object) -> None:
    if keeps_records(run):
        run.update_summary(**values)
