"""The run directory: its files, and how it is created, found and locked."""

import fcntl
import secrets
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Any, Literal

import yaml

from arclight.errors import UserError
from arclight.files import NoLocksError, lock, open_lock, remove_leftovers, write_json, write_text
from arclight.reading import (
    DamagedFileError,
    read_manifest,
    read_mapping,
    read_summary,
    require_regular,
)

SHOWN = 40  # characters of the run's name in the temporary name of its directory
LOCK = ".lock"  # locked by the process that executes the directory

Status = Literal["created", "running", "finished", "failed", "interrupted", "pruned"]


@dataclass(frozen=True)
class RunDirectory:
    """A run on disk; all its data are read from and written to its directory."""

    path: Path

    @property
    def config_file(self) -> Path:
        return self.path / "config.yaml"

    @property
    def manifest_file(self) -> Path:
        return self.path / "manifest.json"

    @property
    def summary_file(self) -> Path:
        return self.path / "summary.json"

    @property
    def log_file(self) -> Path:
        return self.path / "train.log"

    @property
    def metrics_file(self) -> Path:
        return self.path / "metrics.csv"

    @property
    def predictions_file(self) -> Path:
        return self.path / "predictions.parquet"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def plots(self) -> Path:
        return self.path / "plots"

    @property
    def config(self) -> dict[str, Any]:
        """The frozen config."""
        return read_mapping(self.config_file)

    @property
    def manifest(self) -> dict[str, Any]:
        return read_manifest(self.manifest_file)

    @property
    def summary(self) -> dict[str, Any]:
        return read_summary(self.summary_file)

    @property
    def status(self) -> Status:
        status: Status = self.summary["status"]
        return status

    @property
    def is_over(self) -> bool:
        """Whether the run has finished or was pruned."""
        return self.status in ("finished", "pruned")

    @property
    def has_trained(self) -> bool:
        """Whether training has written a checkpoint or metrics."""
        metrics = self.metrics_file
        return any(self.checkpoints.glob("*")) or (metrics.exists() and metrics.stat().st_size > 0)

    def update_summary(self, **values: Any) -> None:
        write_json(self.summary_file, {**self.summary, **values})

    def update_manifest(self, **values: Any) -> None:
        write_json(self.manifest_file, {**self.manifest, **values})

    @contextmanager
    def held(self) -> Iterator[None]:
        """Locks the directory, so that no second process executes it at the same time.

        The kernel releases the lock when the process ends, even if it is killed.

        Raises:
            UserError: another process has locked it, or something in it is a link.
        """
        self._require_no_links()
        with open_lock(self.path / LOCK) as file:
            try:
                free = _locked(file, fcntl.LOCK_EX, seconds=1.0)  # others may be checking the lock
            except NoLocksError as error:  # train without a lock rather than not at all
                print(f"warning: {error} Make sure that no second process executes the run.")
                free = True
            if not free:
                raise UserError(
                    f"{self.path} is being executed by another process; wait for it, or stop it."
                )
            for folder in (self.checkpoints, self.plots):
                folder.mkdir(exist_ok=True)
            remove_leftovers(self.path)
            remove_leftovers(self.checkpoints)
            yield

    def _require_no_links(self) -> None:
        """Raises `UserError` if executing the run would write or delete through a link or pipe."""
        for place in self.path.iterdir():
            require_regular(place)
            if place.is_symlink():
                raise UserError(
                    f"{place} is a link, and runs do not write or delete through links: replace it "
                    "by a copy, or link the whole run directory."
                )

    @property
    def is_held(self) -> bool:
        """Whether a process executes the run; several processes may check at the same time.

        Raises:
            NoLocksError: the file system has no locks.
        """
        if not (self.path / LOCK).is_file():
            return False
        with (self.path / LOCK).open() as file:
            return not _locked(file, fcntl.LOCK_SH, seconds=0.0)


def _locked(file: IO[str], kind: int, seconds: float) -> bool:
    """Tries to lock an open file for some seconds; closing the file releases the lock."""
    end = time.monotonic() + seconds
    while True:
        if lock(file, kind | fcntl.LOCK_NB):
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(0.02)


def open_run(path: str | Path) -> RunDirectory:
    """Returns an existing run directory.

    Raises:
        UserError: it does not exist, or is not a run directory.
    """
    run = RunDirectory(Path(path).expanduser())
    if not run.path.is_dir():
        raise UserError(_not_there(path))
    if not (run.config_file.is_file() and run.summary_file.is_file()):
        raise UserError(f"{path} is not a run directory: it has no config.yaml and summary.json.")
    return run


def _not_there(path: str | Path) -> str:
    """Says which run directory was meant, or where it was looked for."""
    where = Path(path).expanduser()
    if where.is_file() and (run := where.parent.parent / "config.yaml").is_file():
        return f"{path} is a file, not a folder; type its run directory, {run.parent}."
    for folder in (where.parent, Path("runs") / where.parent):
        found = [one.parent.name for one in folder.glob("*/config.yaml")]
        if close := get_close_matches(where.name, found, n=1):
            return f"{path} is not a folder: did you mean {folder / close[0]}?"
    looked = "" if where.is_absolute() else f" in {Path.cwd()}"
    return f"{path} is not a folder{looked}; type a run directory, such as runs/NAME."


def create(
    path: Path | None,
    root: Path,
    name: str,
    config: dict[str, Any],
    overrides: list[str],
    manifest: dict[str, Any],
) -> RunDirectory:
    """Creates a run directory; processes that start at the same time get different ones.

    It is filled under a hidden name and renamed when it is complete, so a run directory is never
    incomplete.

    Args:
        path: the directory's path; None: a new name in `root` that starts with `name`.
        root: the folder of new runs.
        name: the name of the run.
        config: the frozen config.
        overrides: the overrides of the command line, with secrets masked.
        manifest: the manifest; it gets a `run_id` if it has none.

    Raises:
        UserError: the directory cannot be created, or has other files.
    """
    part = (path.parent if path else root) / f".{name[:SHOWN]}-{secrets.token_hex(8)}.new"
    run = RunDirectory(part)
    try:
        run.checkpoints.mkdir(parents=True)
        run.plots.mkdir()
        write_text(run.config_file, yaml.safe_dump(config, sort_keys=False))
        write_text(part / "overrides.yaml", yaml.safe_dump(overrides))
        write_json(run.manifest_file, {"run_id": secrets.token_hex(4), **manifest})
        write_json(run.summary_file, {"status": "created", "times_resumed": 0})
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise UserError(
            f"A run directory cannot be created in {part.parent}: {error.strerror}; "
            "type another place with run_dir=PATH, or with runs=FOLDER for all runs."
        ) from error
    while True:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        final = path or root / f"{name}-{stamp}-{secrets.token_hex(2)}"
        try:
            part.rename(final)  # fails if there is a directory with files
        except OSError as error:
            if path is None and final.exists():
                continue
            shutil.rmtree(part, ignore_errors=True)
            raise UserError(
                f"{final} already has files but is not a run; type another run_dir."
            ) from error
        return RunDirectory(final)


def unfinished(root: Path) -> Iterator[RunDirectory]:
    """Yields the runs under `root` that are unfinished and not being executed, newest first.

    The status of a damaged run is unknown, so it is included.
    """
    found = [f for f in root.glob("**/summary.json") if not _is_being_made(f.relative_to(root))]
    for file in sorted(found, key=lambda f: f.stat().st_mtime, reverse=True):
        run = RunDirectory(file.parent)
        try:
            # a search resumes its own trials
            if run.is_over or run.is_held or "trial" in run.config:
                continue
        except DamagedFileError:
            pass
        yield run


def _is_being_made(summary: Path) -> bool:
    return any(part.startswith(".") for part in summary.parts)


def chosen_checkpoint(run: RunDirectory, checkpoint: str | None) -> Path:
    """Returns the given checkpoint, or the run's best, or its last.

    Raises:
        UserError: there is no such file.
    """
    if checkpoint:
        file = Path(checkpoint).expanduser()
        if not file.is_file():
            raise UserError(f"checkpoint={checkpoint} is not a file.")
        return file
    best, last = run.checkpoints / "best.ckpt", run.checkpoints / "last.ckpt"
    if best.is_file():
        return best
    if last.is_file():
        if _has_chosen(run):
            print(f"warning: {best} is missing, so {last} is used.", file=sys.stderr)
        return last
    raise UserError(
        f"{run.path} has no checkpoint yet; its status is {run.status}. "
        f"Train it with python train.py {resumed(run)}."
    )


def _has_chosen(run: RunDirectory) -> bool:
    """Whether the run has logged the metric that its checkpoints monitor."""
    checkpoints = (run.config.get("callbacks") or {}).get("checkpoints") or {}
    return checkpoints.get("monitor") in (run.summary.get("metrics") or {})


def interrupted(run: RunDirectory) -> str:
    """The message for a run that a signal has ended."""
    return f"Interrupted; python train.py {resumed(run)} continues it."


def resumed(run: RunDirectory) -> str:
    """Returns `resume=DIRECTORY` as it is typed in a shell."""
    return shlex.quote(f"resume={run.path}")
