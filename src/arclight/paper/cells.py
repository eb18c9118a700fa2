"""The cells of a paper: one run for each row, column and repetition."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.errors import HydraException

from arclight.config.best_of import FILE, key_of, read
from arclight.config.checks.check import check
from arclight.config.help.hydra_errors import in_a_sentence
from arclight.errors import UserError
from arclight.paper.settings import WHOLE, Paper, Row
from arclight.report.differences import INCIDENTAL
from arclight.run_directory import RunDirectory
from arclight.search.composer import Composer, as_overrides

Config = dict[str, Any]

IGNORED = (*INCIDENTAL, "preflight")
"""Keys of a config that do not change what a run computes."""


@dataclass(frozen=True)
class Cell:
    """One run of a paper.

    Attributes:
        row, column: names of its row and column.
        seed: the repetition.
        config: the frozen config.
        words: the overrides that compose it.
        choices: the options of the config groups.
        path: its run directory; the name contains a digest of the config.
        kind: digest of the config without the keys that vary between repetitions.
    """

    row: str
    column: str
    seed: int
    config: Config
    words: list[str]
    choices: dict[str, str | None]
    path: Path
    kind: str

    @property
    def name(self) -> str:
        """`vit on digits, seed 0`."""
        where = "" if self.column == WHOLE else f" on {self.column}"
        return f"{self.row}{where}, seed {self.seed}"


def plan(paper: Paper, typed: Sequence[str], folder: Path, untuned: bool = False) -> list[Cell]:
    """All cells: the first repetition of each row comes before the second of any.

    Must be used within `hydra_ready`. A tuned row has the best overrides of its search, and no
    cells before the search has ended.

    Args:
        paper: the settings.
        typed: overrides of the command line for all runs.
        folder: of the paper.
        untuned: also include rows that are not tuned yet, without tuning.

    Raises:
        UserError: the config of a cell is not valid.
    """
    found: list[Cell] = []
    for column in paper.all_columns():
        for row in paper.all_rows():
            words = words_of(paper, row, column, typed)
            if paper.tune is not None:
                best = tuning_folder(folder, row.name, column.name) / FILE
                if best.is_file():
                    tuned = [w for w in read(str(best)) if key_of(w) != "seed"]
                    words = merged(words, tuned, typed)
                elif not untuned:
                    continue
            found += _cells(paper, row, column, words, folder)
    place = {seed: i for i, seed in enumerate(paper.seeds)}
    return sorted(found, key=lambda cell: place[cell.seed])


def plan_before(paper: Paper, typed: Sequence[str], folder: Path) -> list[Cell]:
    """The runs of `paper.before`, which rows need, in folders with their names.

    Must be used within `hydra_ready`.

    Raises:
        UserError: a config is not valid, or differs from that of the existing run.
    """
    found = []
    first = replace(paper, seeds=paper.seeds[:1], vary=["init", "order"])
    for row in paper.all_before():
        words = merged(paper.overrides, row.words, typed)
        (made,) = _cells(first, row, Row(WHOLE, []), words, folder)
        cell = replace(made, path=folder / "before" / row.name)
        there = (cell.path / "config.yaml").is_file()
        if there and digest(RunDirectory(cell.path).config) != digest(cell.config):
            raise UserError(
                f"{cell.path} was trained with another config, and other runs start from its "
                "weights: type paper.dir=PATH to start the paper in a new directory."
            )
        found.append(cell)
    return found


def words_of(paper: Paper, row: Row, column: Row, typed: Sequence[str]) -> list[str]:
    """The overrides of a row and column, without those of the repetition."""
    return merged(paper.overrides, column.words, row.words, typed)


def merged(*lists: Sequence[str]) -> list[str]:
    """The overrides of all lists; the last one of each key counts."""
    last: dict[str, str] = {}
    for word in (word for words in lists for word in words):
        last.pop(key_of(word), None)
        last[key_of(word)] = word
    return list(last.values())


def tuning_folder(folder: Path, row: str, column: str) -> Path:
    """The search directory of a row and column."""
    return folder / "tuning" / row / column


def _cells(paper: Paper, row: Row, column: Row, words: list[str], folder: Path) -> list[Cell]:
    name = f"{row.name} on {column.name}" if paper.columns else row.name
    try:
        composer = Composer(words, [])
        cells = [_cell(paper, row, column, seed, composer, folder) for seed in paper.seeds]
    except HydraException as error:
        raise UserError(f"paper {paper.name}, {name}: {in_a_sentence(error)}") from error
    except UserError as error:
        lines = str(error).splitlines()
        raise UserError("\n".join(f"paper {paper.name}, {name}: {e}" for e in lines)) from error
    return cells


def _cell(paper: Paper, row: Row, column: Row, seed: int, composer: Composer, folder: Path) -> Cell:
    varied = repetition(paper, seed)
    config = composer.config(varied)
    check(config)
    if config["trainer"]["num_nodes"] > 1:
        raise UserError(
            "trainer.num_nodes: each run of a paper uses one machine; start the same paper on "
            "several machines instead."
        )
    path = folder / "cells" / row.name / column.name / f"seed={seed}-{digest(config)}"
    config["trial"] = {
        "name": "-".join([paper.name, row.name, column.name, str(seed)]),
        "paper": paper.name,
        "row": row.name,
        "column": column.name,
        "objectives": [],
    }
    return Cell(
        row=row.name,
        column=column.name,
        seed=seed,
        config=config,
        words=[*composer.overrides, *as_overrides(varied)],
        choices=composer.choices({}),
        path=path,
        kind=kind_of(config, paper),
    )


def repetition(paper: Paper, seed: int) -> dict[str, Any]:
    """The config keys that a repetition sets.

    The run's seed controls weights, dropout and order; `data.seed` only order and augmentation.
    """
    varied: dict[str, Any] = {}
    if "init" in paper.vary:
        varied["seed"] = seed
    if ("init" in paper.vary) != ("order" in paper.vary):
        varied["data.seed"] = seed if "order" in paper.vary else paper.seeds[0]
    if "split" in paper.vary:
        varied["data.split_seed"] = seed
    if "fold" in paper.vary:
        varied |= {"data.folds": paper.folds, "data.fold": seed}
    return varied


def kind_of(config: Config, paper: Paper) -> str:
    """A digest of the config that is equal for all repetitions of a cell."""
    varied = set(repetition(paper, paper.seeds[0])) | {"seed", "data.seed"}
    plain = {k: dict(v) if isinstance(v, dict) else v for k, v in config.items()}
    for key in varied:
        node, _, name = key.rpartition(".")
        (plain.get(node, {}) if node else plain).pop(name, None)
    return digest(plain)


def digest(config: Config) -> str:
    """The first digits of a SHA-256 hash of the config, without ignored keys."""
    kept = {key: value for key, value in config.items() if key not in IGNORED}
    text = json.dumps(kept, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
