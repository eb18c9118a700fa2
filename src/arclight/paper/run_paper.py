"""Runs a paper from its overrides to its verdicts, for `scripts/paper.py`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from arclight.config.compose import hydra_ready
from arclight.config.options import options
from arclight.config.typed import not_key_value
from arclight.console import attach, say
from arclight.errors import UserError
from arclight.masking import masked_overrides
from arclight.paper.artifact import unpacked
from arclight.paper.cells import Cell, plan, plan_before
from arclight.paper.compose import divided, settings_of
from arclight.paper.evidence import WORDS, reason
from arclight.paper.forecast import predict_seeds
from arclight.paper.judge import Judgement, exit_code, look
from arclight.paper.outcomes import Outcomes
from arclight.paper.record import Record, record_of, write_record
from arclight.paper.settings import Paper
from arclight.paper.table import for_reading
from arclight.paper.write import write
from arclight.report.tables import markdown
from arclight.run_directory import open_run


def run_paper(words: Sequence[str]) -> int:
    """Executes the missing runs of a paper, writes it, tests its claims; returns the exit code.

    0: all claims hold. 1: at least one fails. 3: none fails, but some are undecided. 128 + n:
    stopped by signal n; the same command continues.

    Raises:
        UserError: a setting, a config or a run is not valid.
    """
    own, typed = divided(masked_overrides(words))
    with hydra_ready():
        paper, node = settings_of(own)
        folder = Path(paper.dir).expanduser()
        cells = plan(paper, typed, folder, untuned=paper.dry_run)
        if paper.dry_run:
            _show(paper, node, cells, folder)
            return 0
        folder.mkdir(parents=True, exist_ok=True)
        if not paper.check:
            code, cells = _run(paper, node, cells, typed, folder)
            if code:
                return code
        record = record_of(paper, node, cells, folder)
    return finish(record, folder)


def finish(record: Record, folder: Path) -> int:
    """Writes the paper and prints table and verdicts; returns the exit code."""
    write_record(folder, record)
    outcomes = Outcomes(record, folder)
    judgements = write(record, folder, folder, look(folder, outcomes))
    _print(outcomes, judgements, folder)
    return exit_code(judgements)


def rebuild(artifact: str, output: str) -> int:
    """Writes a paper again from its `artifact.zip`; returns the exit code of its claims."""
    target = Path(output).expanduser()
    with unpacked(Path(artifact).expanduser()) as (folder, record):
        outcomes = Outcomes(record, folder)
        judgements = write(record, folder, target, look(folder, outcomes))
        _print(outcomes, judgements, target)
    return exit_code(judgements)


def _run(
    paper: Paper, node: dict[str, Any], cells: list[Cell], typed: Sequence[str], folder: Path
) -> tuple[int, list[Cell]]:
    from arclight.paper.tuning import tune
    from arclight.signals import exit_on_signals

    exit_on_signals()
    record = record_of(paper, node, cells, folder)  # raises for mixed code or data before training
    log = folder / "paper.log"
    with attach(log):
        for line in predict_seeds(Outcomes(record, folder)):
            say(line)
    first = plan_before(paper, typed, folder)
    if first:
        if code := _execute(paper, first, folder):
            return code, cells
        require_finished(first)
    if code := tune(paper, typed, folder):
        return code, cells
    if paper.tune is not None:
        cells = plan(paper, typed, folder)
    if not cells:
        raise UserError(
            f"paper {paper.name} has nothing to run: the tuning of every row has failed."
        )
    return _execute(paper, cells, folder), cells


def _execute(paper: Paper, cells: list[Cell], folder: Path) -> int:
    """Runs the unfinished cells; returns a signal's exit code or 0."""
    from arclight.paper.run_cells import Cells
    from arclight.search.slots import slots_of
    from arclight.signals import exit_on_signals

    configs = {cell.config["trainer"]["accelerator"]: cell.config for cell in cells}
    base = configs.get("gpu") or next(iter(configs.values()))
    slots = slots_of(paper.workers, paper.gpus_per_trial, base, "paper")
    work = Cells(paper, cells, slots)
    with attach(folder / "paper.log"):
        say(f"paper {paper.name}: {work.count} of {work.total} runs exist; {folder}")
        signum = work.run() if work.open_cells else 0
        exit_on_signals()
        if signum:
            say("Interrupted; the same command continues the paper.")
            return 128 + signum
    return 0


def require_finished(cells: Sequence[Cell]) -> None:
    """Raises `UserError` if a run that others need has not finished."""
    for cell in cells:
        run = open_run(cell.path)
        if run.status != "finished":
            raise UserError(
                f"{cell.path} has the status {run.status}, but rows need it: see its "
                "train.log, and type paper.again=true to continue it."
            )


def _show(paper: Paper, node: dict[str, Any], cells: Sequence[Cell], folder: Path) -> None:
    """Prints what would run, and how many seeds the claims need."""
    for line in predict_seeds(Outcomes(record_of(paper, node, cells, folder), folder)):
        print(line)
    if (tune := paper.tuning()) is not None:
        count = len(paper.all_rows()) * len(paper.all_columns())
        print(
            f"First {count} searches with {tune.n_trials} trials each would run; the cells below "
            "would get their best overrides."
        )
    missing = [cell for cell in cells if not (cell.path / "config.yaml").is_file()]
    print(f"{len(missing)} of {len(cells)} cells would run:")
    for cell in missing:
        print(f"  {cell.name}: python train.py {' '.join(cell.words)}")


def _print(outcomes: Outcomes, judgements: Sequence[Judgement], target: Path) -> None:
    print(f"\n{markdown(for_reading(outcomes))}\n")
    for note in outcomes.record.notes:
        print(f"note: {note}")
    for judgement in judgements:
        print(f"{WORDS[judgement.holds]}: {judgement.claim.text} ({reason(judgement)})")
    lost = [outcome for outcome in outcomes.all if outcome.ending != "finished"]
    for outcome in lost:
        entry = outcome.entry
        why = f": {outcome.error}" if outcome.error else ""
        print(f"{outcome.ending}: {entry.row} on {entry.column}, seed {entry.seed}{why}")
    print(f"The report is {target / 'report.html'}.")


def require_words(words: Sequence[str]) -> None:
    """Raises `UserError` if an argument does not have the form KEY=VALUE."""
    for word in words:
        if "=" not in word and not word.startswith("~"):
            if word in options("paper"):
                raise UserError(f"{word} is not of the form KEY=VALUE: type paper={word}.")
            raise UserError(not_key_value(word, words))
