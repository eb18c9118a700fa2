"""A multirun as a whole: where it lies, and what came of its jobs."""

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
from arclight.provenance.code import changed_since, named
from arclight.run_directory import RunDirectory


class Multirun(Callback):
    """What Hydra calls before the first job of `-m` and after the last.

    Hydra turns an exception in here into a warning, so what must end the program exits.
    """

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Gives the multirun a directory that the same line finds again."""
        for key in _NAMES_ONE:
            if config.get(key):
                print(f"error: {_NAMES_ONE[key]}", file=sys.stderr)
                sys.exit(EXIT_USER_ERROR)
        hydra = config.hydra
        if config.get("check") or config.get("explain"):  # there are no runs
            hydra.sweep.dir = tempfile.mkdtemp()
            atexit.register(shutil.rmtree, hydra.sweep.dir, ignore_errors=True)
        elif any(word.startswith("hydra.sweep.dir=") for word in hydra.overrides.hydra):
            return
        else:
            hydra.sweep.dir = str(Path(hydra.sweep.dir) / name_of(hydra.overrides.task))
        quoted = hydra.sweep.dir.replace("'", "\\'")
        hydra.overrides.hydra.append(f"hydra.sweep.dir='{quoted}'")  # each job composes anew

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Shows what came of the jobs; the exit code says whether all have finished."""
        if config.get("check") or config.get("explain"):
            return
        if config.get("search"):
            return  # the jobs are workers of one search, which says what came of it
        finished = False
        try:
            finished = report(Path(config.hydra.sweep.dir))
        finally:
            if not finished:
                sys.exit(1)


_NAMES_ONE = {
    "run_dir": "run_dir names one run; for the folder of a multirun type hydra.sweep.dir=PATH.",
    "resume": "resume continues one run, without -m; a multirun is continued by the same line.",
}


def name_of(words: Sequence[str]) -> str:
    """A folder name for a line: readable, of limited length, and another for another line."""
    said = [word for word in words if not word.startswith("runs=")]
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", " ".join(said)).strip("-")
    return f"{readable[:30]}-{hashlib.sha256(shlex.join(said).encode()).hexdigest()[:6]}"


def report(folder: Path) -> bool:
    """Prints a table of the jobs in a multirun's folder, and whether all have finished."""
    from arclight.report.results import collect, for_reading, listed
    from arclight.report.tables import markdown

    jobs = collect([folder])
    rows = [{**row, "run": job.path.name} for row, job in zip(listed(jobs), jobs, strict=True)]
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
