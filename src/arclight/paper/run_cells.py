"""Runs the missing cells of a paper, in any number of processes and on any number of machines."""

import fcntl
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from arclight.console import say
from arclight.files import lock, open_lock
from arclight.paper.cells import Cell
from arclight.paper.settings import Paper
from arclight.run_directory import RunDirectory, create, open_run
from arclight.search.processes import Processes, note_lost
from arclight.search.trial import Ending
from arclight.search.warm_up import warm_up


@dataclass
class Claimed:
    """A cell that only this process works on, while it keeps `lock` open."""

    cell: Cell
    lock: IO[str]
    found: bool
    retries: int = 0

    def release(self) -> None:
        self.lock.close()


class Cells(Processes[Claimed]):
    """Executes each unfinished cell; failures are recorded, and the other cells continue.

    A running cell is locked by its process, so any number of commands can work on one paper.

    Args:
        paper: the settings.
        cells: all cells.
        slots: see `Processes`.
    """

    def __init__(self, paper: Paper, cells: Sequence[Cell], slots: list[dict[str, str]]) -> None:
        super().__init__(slots, paper.retry, paper.threads)
        self.paper = paper
        self.open_cells = [cell for cell in cells if not self._is_settled(cell, paper.again)]
        self.count, self.total = len(cells) - len(self.open_cells), len(cells)

    def _is_settled(self, cell: Cell, again: bool) -> bool:
        if not (cell.path / "config.yaml").is_file():
            return False
        status = open_run(cell.path).status
        return status in ("finished", "pruned") or (status == "failed" and not again)

    @property
    def is_over(self) -> bool:
        self.open_cells = [c for c in self.open_cells if not self._is_settled(c, self.paper.again)]
        return not self.open_cells

    def claim(self) -> Claimed | None:
        mine = {running.job.cell.path for running in self.running.values()}
        for cell in list(self.open_cells):
            if cell.path in mine:
                continue
            cell.path.parent.mkdir(parents=True, exist_ok=True)
            file = open_lock(cell.path.parent / f".{cell.path.name}.lock")
            if not lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB):
                file.close()
                continue
            if self._is_settled(cell, self.paper.again):  # another command has finished it
                file.close()
                self._close(cell)
                continue
            return Claimed(cell, file, found=(cell.path / "config.yaml").is_file())
        return None

    def _close(self, cell: Cell) -> None:
        self.open_cells.remove(cell)
        self.count += 1

    def open(self, stack: ExitStack) -> None:
        kinds = {cell.kind: cell.config for cell in self.open_cells}
        warm_up(*kinds.values())

    def folder_of(self, job: Claimed) -> Path:
        return job.cell.path

    def title_of(self, job: Claimed) -> str:
        return job.cell.name

    def directories(self, job: Claimed) -> list[RunDirectory]:
        cell = job.cell
        if job.found:
            run = open_run(cell.path)
            if run.status == "failed":  # paper.again: continue from its last checkpoint
                run.update_summary(status="interrupted", error=None)
            return [run]
        manifest = {**self.describe(cell.config), "choices": cell.choices}
        name = cell.path.name
        return [create(cell.path, cell.path.parent, name, cell.config, cell.words, manifest)]

    def settle(self, job: Claimed, runs: list[RunDirectory], end: Ending) -> None:
        if end.outcome == "failed" or end.outcome in ("lost", "interrupted"):
            note_lost(runs, end.reason)
            self.fail(job, end.reason)
            return
        summary = runs[0].summary
        value = summary.get("metrics", {}).get(self.paper.metric, summary.get(self.paper.metric))
        shown = "not logged" if value is None else f"{value:.6g}"
        self._end(job, f"{self.paper.metric} {shown} ({summary.get('seconds', 0.0):.1f} s)")

    def fail(self, job: Claimed, reason: str) -> None:
        self._end(job, f"FAILED: {reason}")

    def _end(self, job: Claimed, result: str) -> None:
        self._close(job.cell)
        job.release()
        say(f"cell {self.count} of {self.total}: {job.cell.name}: {result}")
