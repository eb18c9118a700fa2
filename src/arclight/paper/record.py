"""`paper.json`: the settings and runs of a paper, from which all other files are written."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from arclight.errors import UserError
from arclight.files import write_json
from arclight.paper.cells import IGNORED, Cell, digest, kind_of
from arclight.paper.settings import Paper
from arclight.provenance.code import changed_since, named
from arclight.reading import read_json
from arclight.report.results import collect
from arclight.run_directory import RunDirectory

FILE = "paper.json"
EVIDENCE = "evidence"

# Settings of the command, which do not belong to the paper itself.
COMMAND = ("workers", "threads", "gpus_per_trial", "retry", "again", "check", "dry_run", "dir")


@dataclass(frozen=True)
class Entry:
    """A run for a row and column, or a missing one.

    Attributes:
        path: relative to the paper's folder, or absolute for evidence from elsewhere; None: the
            run does not exist yet.
    """

    row: str
    column: str
    seed: int
    path: str | None
    source: str = "paper"


@dataclass(frozen=True)
class Record:
    """The content of `paper.json`."""

    settings: dict[str, Any]
    entries: list[Entry]
    notes: list[str]

    @property
    def paper(self) -> Paper:
        return Paper(**self.settings)


def write_record(folder: Path, record: Record) -> Path:
    """Writes the record to the paper's folder."""
    file = folder / FILE
    content = {
        "settings": record.settings,
        "entries": [asdict(entry) for entry in record.entries],
        "notes": record.notes,
    }
    write_json(file, content)
    return file


def read_record(folder: Path) -> Record:
    """Reads the record of a paper.

    Raises:
        UserError: the folder does not belong to a paper, or its record is damaged.
    """
    file = folder / FILE
    if not file.is_file():
        raise UserError(f"{folder} is not a paper: it has no {FILE}.")
    content = read_json(file)
    try:
        entries = [Entry(**entry) for entry in content["entries"]]
        record = Record(dict(content["settings"]), entries, list(content["notes"]))
        _ = record.paper
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file} is damaged: it does not describe a paper.") from error
    return record


def record_of(paper: Paper, node: dict[str, Any], cells: Sequence[Cell], folder: Path) -> Record:
    """The record of existing runs for each cell, and of runs given as evidence.

    Raises:
        UserError: runs have different code or data, without `paper.mixed=true`.
    """
    made = {(c.row, c.column, c.seed): c for c in cells}
    entries = []
    for row in paper.all_rows():
        for column in paper.all_columns():
            for seed in paper.seeds:
                cell = made.get((row.name, column.name, seed))
                there = cell is not None and (cell.path / "config.yaml").is_file()
                path = str(cell.path.relative_to(folder)) if cell and there else None
                entries.append(Entry(row.name, column.name, seed, path))
    brought, notes = _evidence(paper, cells, entries)
    entries += brought
    notes = [*_left_over(cells, folder), *notes]
    kept = [folder / entry.path for entry in entries if entry.path]
    mixed = mixtures(kept, folder)
    if mixed and not paper.mixed:
        raise UserError(
            "\n".join(mixed) + "\nType paper.mixed=true to use them anyway, paper.dir=PATH to "
            "start again, or restore the code or data."
        )
    settings = {k: v for k, v in node.items() if k not in COMMAND} | {"dir": str(paper.dir)}
    return Record(settings, entries, [*notes, *mixed])


def _left_over(cells: Sequence[Cell], folder: Path) -> list[str]:
    """A note about runs in the paper's folder that no longer belong to a cell."""
    known = {cell.path for cell in cells}
    others = [
        file.parent
        for file in sorted((folder / "cells").glob("*/*/*/config.yaml"))
        if file.parent not in known
    ]
    shown = [str(path.relative_to(folder / "cells")) for path in others]
    if not shown:
        return []
    return [f"{len(shown)} runs of other seeds or configs are left out: {named(shown)}."]


def _evidence(
    paper: Paper, cells: Sequence[Cell], own: Sequence[Entry]
) -> tuple[list[Entry], list[str]]:
    """Finished runs of a folder that have the config of a cell, except for the repetition."""
    if paper.evidence is None:
        return [], []
    kinds = {cell.kind: (cell.row, cell.column) for cell in cells}
    taken = {(entry.row, entry.column, entry.seed) for entry in own if entry.path}
    ours = {cell.path.resolve() for cell in cells}
    entries, doubles, strange = [], 0, 0
    for result in collect([paper.evidence]):
        if result.path.resolve() in ours:
            continue
        config = RunDirectory(result.path).config
        place = kinds.get(kind_of({k: v for k, v in config.items() if k not in IGNORED}, paper))
        seed = _seed_of(config, paper)
        if place is None:
            strange += 1
        elif (*place, seed) in taken:
            doubles += 1
        else:
            taken.add((*place, seed))
            entries.append(Entry(*place, seed, str(result.path.resolve()), EVIDENCE))
    notes = [f"{len(entries)} runs of {paper.evidence} are used as evidence."]
    if doubles:
        notes.append(f"{doubles} runs of {paper.evidence} repeat a seed that is already used.")
    if strange:
        notes.append(f"{strange} runs of {paper.evidence} belong to no row of this paper.")
    return entries, notes


def _seed_of(config: dict[str, Any], paper: Paper) -> int:
    data = config.get("data") or {}
    if "fold" in paper.vary:
        return int(data.get("fold") or 0)
    if "init" not in paper.vary:
        return int(data.get("seed" if "order" in paper.vary else "split_seed") or 0)
    return int(config["seed"])


def mixtures(paths: Iterable[Path], folder: Path) -> list[str]:
    """One line for each run with other code, and for each run with other data."""
    lines, data = [], dict[str, list[tuple[str, str]]]()
    for path in paths:
        run = RunDirectory(path)
        name = str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
        if changed := changed_since(run):
            lines.append(f"{name} was trained with other code: {named(changed)}.")
        known = run.manifest.get("data") or {}
        if known.get("fingerprint"):
            node = {k: v for k, v in run.config["data"].items() if k not in ("seed", "batch_size")}
            data.setdefault(digest(node), []).append((name, known["fingerprint"]))
    for runs in data.values():
        usual = Counter(fingerprint for _, fingerprint in runs).most_common(1)[0][0]
        lines += [
            f"{name} was trained with other data: their fingerprint is {one[:12]}, but that of the "
            f"other runs is {usual[:12]}."
            for name, one in runs
            if one != usual
        ]
    return lines
