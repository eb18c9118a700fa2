"""Writes all files of a paper."""

from pathlib import Path

from arclight.files import write_text
from arclight.paper.artifact import NAME, pack
from arclight.paper.checklist import checklist
from arclight.paper.evidence import claims_markdown, claims_rows
from arclight.paper.examples import mistakes
from arclight.paper.figures import draw, save
from arclight.paper.judge import Judgement, judge
from arclight.paper.outcomes import Outcomes
from arclight.paper.record import Record
from arclight.paper.report_page import page
from arclight.paper.scaling import draw_scaling, scaling, scaling_rows
from arclight.paper.table import as_csv, as_latex, as_markdown
from arclight.paper.tuning import best_so_far, draw_tuning
from arclight.report.tables import comma_separated, markdown


def write(record: Record, folder: Path, target: Path, looks: int) -> list[Judgement]:
    """Writes tables, claims, checklist, figures and page; returns the verdicts.

    Args:
        record: the content of `paper.json`.
        folder: the folder to which the record's paths are relative.
        target: the folder to write to.
        looks: see `arclight.paper.judge.look`.
    """
    target.mkdir(parents=True, exist_ok=True)
    outcomes = Outcomes(record, folder)
    judgements = judge(outcomes, looks)
    claims, listed = claims_markdown(judgements, outcomes), checklist(outcomes)
    table, runs = as_markdown(outcomes), _runs(outcomes)
    write_text(target / "table.md", table)
    write_text(target / "table.csv", as_csv(outcomes))
    write_text(target / "table.tex", as_latex(outcomes))
    write_text(target / "claims.md", claims)
    write_text(target / "claims.csv", comma_separated(claims_rows(judgements)) + "\n")
    write_text(target / "checklist.md", listed)
    write_text(target / "runs.csv", comma_separated(runs) + "\n")
    wrong = _mistakes(outcomes)
    write_text(target / "mistakes.csv", comma_separated(wrong) + "\n")
    pictures = draw(outcomes, target / "figures")
    if (tuned := draw_tuning(outcomes, target / "figures" / "tuning")) is not None:
        pictures.append(tuned)
        write_text(target / "tuning.csv", comma_separated(best_so_far(outcomes)) + "\n")
    fits = scaling(outcomes)
    fitted = scaling_rows(fits)
    if fits:
        pictures.append(save(draw_scaling(fits, outcomes), target / "figures" / "scaling"))
        write_text(target / "scaling.csv", comma_separated(fitted) + "\n")
    title = outcomes.paper.title or outcomes.paper.name
    notes = "\n".join(f"- {note}" for note in record.notes)
    parts = [f"# {title}", table, claims.replace("# ", "## "), notes]
    parts += ["## Error against examples per parameter", markdown(fitted)] if fits else []
    parts += ["## Runs", markdown(runs), listed.replace("# ", "## ")]
    parts += ["## Most frequent mistakes", markdown(wrong[:20])] if wrong else []
    write_text(target / "report.html", page(title, [p for p in parts if p], pictures))
    pack(folder, record, target / NAME)
    return judgements


def _runs(outcomes: Outcomes) -> list[dict[str, object]]:
    """All runs with their results."""
    metric = outcomes.paper.metric
    return [
        {
            "row": outcome.entry.row,
            "column": outcome.entry.column,
            "seed": outcome.seed,
            "ending": outcome.ending,
            metric: outcome.metric(metric),
            "error": outcome.error,
            "source": outcome.entry.source,
        }
        for outcome in outcomes.all
    ]


def _mistakes(outcomes: Outcomes) -> list[dict[str, object]]:
    """The examples of each column that most runs predict wrongly."""
    rows: list[dict[str, object]] = []
    for column in outcomes.columns:
        runs = [o for row in outcomes.rows for o in outcomes.of(row, column)]
        kept = [o.examples for o in runs if o.examples is not None]
        rows += [{"column": column, **row} for row in mistakes(kept)]
    return rows
