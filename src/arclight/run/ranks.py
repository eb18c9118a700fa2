"""Several processes for one run, started and watched by torch's own elastic launcher.

Each executes the run directory, so that all have the same config and none sees a command line.
"""

import os
import sys

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from arclight.config.entry import EXIT_USER_ERROR
from arclight.run.directory import RunDirectory


def launch(run: RunDirectory, processes: int, nodes: int) -> int:
    """Runs the processes to their end and returns the exit code of the whole.

    When one fails the launcher ends the others, and the first failure's traceback is shown last.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    os.environ.setdefault("TORCHELASTIC_SIGNALS_TO_HANDLE", "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1")
    config = LaunchConfig(
        min_nodes=nodes,
        max_nodes=nodes,
        nproc_per_node=processes,
        run_id=run.manifest["run_id"],
        rdzv_backend="c10d",
        rdzv_endpoint=os.environ.get("ARCLIGHT_RENDEZVOUS", "localhost:0"),
        max_restarts=0,
        monitor_interval=0.2,
    )
    command = [sys.executable, "-m", "arclight.run.execute", str(run.path)]
    try:
        elastic_launch(config, command[0])(*command[1:])
    except ChildFailedError as error:
        return _failed(run, error)
    except SignalException as stop:
        if run.status == "running":
            run.update_summary(status="interrupted")
        return 128 + int(stop.sigval)
    return 0


def _failed(run: RunDirectory, error: ChildFailedError) -> int:
    rank, failure = error.get_first_failure()
    if run.status == "running":
        run.update_summary(status="failed", error=f"process {rank}: {failure.message}")
    if failure.exitcode in (EXIT_USER_ERROR, *range(128, 192)):
        return int(failure.exitcode)
    message = failure.error_file_data if hasattr(failure, "error_file_data") else failure.message
    print(f"{run.path} failed in process {rank}:\n{message}", file=sys.stderr)
    return 1
