"""Where metrics are logged: always `metrics.csv`; optionally Weights & Biases and TensorBoard."""

import csv
import os
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, NoReturn

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from arclight.errors import UserError
from arclight.files import write_text
from arclight.libraries.wandb import service_gone
from arclight.masking import masked
from arclight.reading import DamagedFileError, read_rows
from arclight.tasks.pictures import log_picture


class NoExperimentError(UserError, AttributeError):
    """A module uses `self.logger.experiment`, and no logger that has one is configured."""


class MetricsFile(Logger):
    """`metrics.csv`: one row per logging call; metrics that were not logged then are empty.

    A resumed run first drops the rows after the step of its checkpoint, so the file is the same as
    that of an uninterrupted run.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._columns: list[str] = []
        self._rows = 0

    @property
    def experiment(self) -> NoReturn:
        raise NoExperimentError(
            "self.logger.experiment needs a logger with an experiment: type logger=tensorboard, "
            "logger=wandb or logger=mlflow."
        )

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    def mark(self) -> dict[str, Any]:
        """The current position in the file, for `rewind`."""
        return {"rows": self._rows, "columns": list(self._columns)}

    def rewind(
        self, step: int, tested: Collection[str] = (), mark: dict[str, Any] | None = None
    ) -> None:
        """Drops the rows that were written after a checkpoint was saved.

        Args:
            step: of the checkpoint; -1 drops all rows.
            tested: names of metrics that an earlier test has logged; their rows are dropped.
            mark: the position saved in the checkpoint; None keeps all rows up to `step`.

        Raises:
            DamagedFileError: the file cannot be read, or has fewer rows than `mark`.
        """
        there = self.path.exists()
        rows = read_metrics(self.path) if there else []
        if mark is None or not there:
            rows = [row for row in rows if int(row["step"]) <= step]
        else:
            if len(rows) < mark["rows"]:
                raise DamagedFileError(
                    f"{self.path} is damaged: it had {mark['rows']} rows when the checkpoint was "
                    f"saved and has {len(rows)} now. Restore a copy, or remove it to start again."
                )
            self._columns, rows = mark["columns"], rows[: mark["rows"]]
            rows = [{c: row.get(c, "") for c in self._columns} for row in rows]
        self._rewrite([r for r in rows if not any(v and k in tested for k, v in r.items())])

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        row = {"step": str(step), **{k: _number(v) for k, v in metrics.items()}}
        if set(row) - set(self._columns):
            self._columns += [k for k in row if k not in self._columns]
            self._rewrite([*(read_metrics(self.path) if self.path.exists() else []), row])
            return
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self._columns, lineterminator="\n").writerow(row)
        self._rows += 1

    def _rewrite(self, rows: Sequence[dict[str, str]]) -> None:
        self._columns = list(dict.fromkeys([*self._columns, *(k for row in rows for k in row)]))
        self._rows = len(rows)
        lines = [self._columns, *([row.get(c, "") for c in self._columns] for row in rows)]
        write_text(self.path, "".join(",".join(line) + "\n" for line in lines) if rows else "")

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Does nothing: the run directory keeps the config."""


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.9g}"


def read_metrics(path: Path) -> list[dict[str, str]]:
    """The rows of a `metrics.csv`, with values as text; an incomplete last line is left out.

    Raises:
        DamagedFileError: the file cannot be read, or has other content.
    """
    rows = read_rows(path)
    if rows and not rows[-1].get("step", "").isdigit():
        rows.pop()
    for number, row in enumerate(rows, start=2):
        if not row.get("step", "").isdigit() or not all(map(_is_number, row.values())):
            raise DamagedFileError(
                f"{path} is damaged: line {number} has values that are not numbers."
            )
    return rows


def _is_number(text: str) -> bool:
    try:
        float(text or 0)
        return True
    except ValueError:
        return False


class WandbRun(WandbLogger):
    """Lightning's W&B logger, for a run that continues when W&B's service has ended."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        with warn_without_service():
            super().log_metrics(metrics, step)


@contextmanager
def warn_without_service() -> Iterator[None]:
    """Warns, instead of failing, if W&B's service process has ended.

    A scheduler that stops a job signals each of its processes. The service ends immediately, while
    the run still has to save. A run has not failed just because the service is gone.
    """
    gone = service_gone()
    try:
        yield
    except gone:
        warnings.warn(
            "W&B's service has ended. The metrics it missed are in metrics.csv.", stacklevel=2
        )


def wandb_logger(
    run_dir: Path,
    run_id: str,
    name: str,
    say: Callable[[str], None],
    project: str = "arclight",
    entity: str | None = None,
    group: str | None = None,
    tags: Sequence[str] = (),
    notes: str | None = None,
    mode: Literal["auto", "online", "offline"] = "auto",
) -> Logger:
    """A W&B run with the id of the run directory, so a resumed run continues the same W&B run.

    The run's manifest already has the packages and the state of git: W&B's own list of packages
    would add 0.1 s to each start.
    """
    import wandb

    service_gone()  # fails early if W&B has renamed an internal name
    mode = wandb_mode(mode)
    if mode == "offline":
        say(f"W&B is offline; to upload later: wandb sync {run_dir}/wandb/offline-run-*")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # inside wandb
        return WandbRun(
            name=name,
            save_dir=run_dir,
            id=run_id,
            project=project,
            entity=entity,
            group=masked(group) if group else None,
            tags=[masked(tag) for tag in tags],
            notes=masked(notes) if notes else None,
            mode=mode,
            resume="allow",
            # W&B's own patch of the code could contain secrets that the manifest leaves out.
            settings=wandb.Settings(x_save_requirements=False, disable_git=True),
        )


def wandb_mode(mode: Literal["auto", "online", "offline"]) -> Literal["online", "offline"]:
    """Resolves `auto`: `WANDB_MODE` if set, else online if there is an API key."""
    import wandb

    if mode != "auto":
        return mode
    if given := os.environ.get("WANDB_MODE"):
        return "online" if given == "online" else "offline"
    return "online" if wandb.login(prompt=False, verify=False) else "offline"


def log_results(
    loggers: Sequence[Logger], metrics: dict[str, float], images: Sequence[Path], step: int
) -> None:
    """Sends the final metrics and plots of a finished run to the loggers that support them."""
    with warn_without_service():
        for logger in loggers:
            if isinstance(logger, WandbLogger):
                logger.experiment.summary.update(metrics)
        for image in images:
            log_picture(loggers, image, step)


def close(loggers: Sequence[Logger], status: str) -> None:
    """Closes every logger, and W&B's run, so the next run of this process gets its own.

    Args:
        status: of the run: finished, pruned, failed or interrupted.
    """
    succeeded = status in ("finished", "pruned")
    for logger in loggers:
        logger.finalize("success" if succeeded else "failed")
        if hasattr(logger, "close"):
            logger.close()
        if isinstance(logger, WandbLogger):
            import wandb

            with warn_without_service():
                if wandb.run is not None:
                    wandb.run.summary["status"] = status
                wandb.finish(exit_code=0 if succeeded else 1)
            if wandb.run is not None:  # its service has ended; the next run starts another
                with suppress(ConnectionError):
                    wandb.teardown(exit_code=1)
                wandb.run = None


def tensorboard_logger(run_dir: Path) -> Logger:
    """A logger that writes TensorBoard event files to the run directory.

    Raises:
        UserError: tensorboard is not installed.
    """
    try:
        return TensorBoardLogger(run_dir, name="", version="tensorboard")
    except ModuleNotFoundError as error:
        raise UserError(
            "logger=tensorboard needs a package that is not installed: "
            'type pip install -e ".[tensorboard]"'
        ) from error
