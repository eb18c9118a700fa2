"""A multirun as a whole: its directory, and the results of its jobs."""

import atexit
import hashlib
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from arclight.config.entry import EXIT_USER_ERROR
from arclight.entry.commands import FAULTY
from arclight.provenance.code import changed_since, named
from arclight.run_directory import RunDirectory


class Multirun(Callback):
    """Hydra calls this before the first job of `-m` and after the last one.

    Hydra turns exceptions raised here into warnings, so errors call `sys.exit`.
    """

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Sets the directory of the multirun; the same command finds it again."""
        for key in _NAMES_ONE:
            if config.get(key):
                print(f"error: {_NAMES_ONE[key]}", file=sys.stderr)
                sys.exit(EXIT_USER_ERROR)
        hydra = config.hydra
        if config.get("check") or config.get("explain"):  # there are no runs
            hydra.sweep.dir = tempfile.mkdtemp()
            atexit.register(shutil.rmtree, hydra.sweep.dir, ignore_errors=True)
        elif any(one.startswith("hydra.sweep.dir=") for one in hydra.overrides.hydra):
            return
        else:
            hydra.sweep.dir = str(Path(hydra.sweep.dir) / name_of(hydra.overrides.task))
        quoted = hydra.sweep.dir.replace("'", "\\'")
        hydra.overrides.hydra.append(
            f"hydra.sweep.dir='{quoted}'"
        )  # each job composes its config again

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Prints the results of the jobs; the exit code is 1 unless all have finished.

        With `check=only`, it is 2 if a job has faults.
        """
        if config.get("check") and any(Path(config.hydra.sweep.dir).glob(f"*{FAULTY}")):
            sys.exit(EXIT_USER_ERROR)
        if config.get("check") or config.get("explain"):
            return
        if config.get("search"):
            return  # the jobs are workers of one search, which prints its own results
        finished = False
        try:
            finished = report(Path(config.hydra.sweep.dir))
        finally:
            if not finished:
                sys.exit(1)


_NAMES_ONE = {
    "run_dir": "run_dir names one run; for the folder of a multirun type hydra.sweep.dir=PATH.",
    "resume": "resume continues one run, without -m; repeat the same command to continue a "
    "multirun.",
}


def name_of(overrides: Sequence[str]) -> str:
    """Returns a folder name for a command: readable, short, and different for each command."""
    used = [one for one in overrides if not one.startswith("runs=")]
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", " ".join(used)).strip("-")
    return f"{readable[:30]}-{hashlib.sha256(shlex.join(used).encode()).hexdigest()[:6]}"


def report(folder: Path) -> bool:
    """Prints a table of the jobs in a multirun's folder; returns whether all have finished."""
    from arclight.report.results import collect
    from arclight.report.rows import for_reading, run_rows
    from arclight.report.tables import markdown

    jobs = collect([folder])
    rows = [{**row, "run": job.path.name} for row, job in zip(run_rows(jobs), jobs, strict=True)]
    print(f"\n{markdown(for_reading(rows))}\n\nThe runs are in {folder}.")
    left = [job for job in jobs if job.status != "finished"]
    since = [changed_since(RunDirectory(job.path)) for job in jobs if job not in left]
    if count := sum(bool(names) for names in since):
        print(
            f"warning: the code has changed since {count} of these jobs finished: "
            f"{named({name for names in since for name in names})}; their metrics may differ.",
            file=sys.stderr,
        )
    for job in left:
        print(f"{job.path}: {job.status}{f': {job.error}' if job.error else ''}", file=sys.stderr)
    if left:
        print(f"{len(left)} of {len(jobs)} jobs have not finished.", file=sys.stderr)
    return bool(jobs) and not left
