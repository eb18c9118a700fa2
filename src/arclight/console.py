"""The output of a run: on the terminal (errors on stderr) and, with times, in `train.log`."""

import logging
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path

from arclight.cells import visible
from arclight.masking import masked

__all__ = ["say"]

log = logging.getLogger("arclight")


@contextmanager
def attach(file: Path | None) -> Iterator[None]:
    """Logs to the terminal and to `file`; None: a process that logs only warnings."""
    out, err = logging.StreamHandler(sys.stdout), logging.StreamHandler(sys.stderr)
    for stream in (out, err):  # masked, since a scheduler writes them to files
        stream.setFormatter(Masked())
    out.addFilter(lambda record: record.levelno < logging.ERROR)
    err.setLevel(logging.ERROR)
    handlers: list[logging.Handler] = [out, err]
    if file:
        keep = LogFile(file)
        keep.setFormatter(Masked("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        handlers.append(keep)
    log.setLevel(logging.INFO if file else logging.WARNING)
    log.propagate = False
    for handler in handlers:
        log.addHandler(handler)
    shown = warnings.showwarning
    warnings.showwarning = _warn
    try:
        yield
    finally:
        warnings.showwarning = shown
        for handler in handlers:
            log.removeHandler(handler)
            handler.close()


def detach() -> None:
    """Removes the handlers; a forked process calls it, so as not to write to its parent's log."""
    for handler in list(log.handlers):
        log.removeHandler(handler)


class Masked(logging.Formatter):
    """Formats log records with secrets masked."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))


class LogFile(logging.FileHandler):
    """A log file that ignores errors: a full disk loses lines, but does not stop the run."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        pass

    def close(self) -> None:
        with suppress(OSError):
            super().close()


def say(text: str) -> None:
    """Logs a line or block of text for the user."""
    log.info(visible(text))


def _warn(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    log.warning("%s: %s", category.__name__, message)


def table(rows: Sequence[tuple[str, str]], title: str) -> str:
    """Returns a small table of names and values, as text that fits the terminal's width."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title=title, box=box.SIMPLE, show_header=False, title_justify="left")
    drawn.add_column(style="bold")
    drawn.add_column(overflow="fold")
    for row in rows:
        drawn.add_row(*map(visible, row))
    out = StringIO()
    width = min(100, shutil.get_terminal_size((100, 24)).columns)
    Console(file=out, width=width, no_color=True).print(drawn)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines())
