"""Writes the report of a search when it ends."""

from pathlib import Path

from arclight.report.search_page import short, write_best_trial, write_report, write_trials
from arclight.report.search_plots import draw
from arclight.report.search_results import open_search
from arclight.report.wandb_summary import summarise


def report(search_dir: Path) -> None:
    """Writes the results of a search to its directory, and prints a summary.

    The files are `trials.csv`, `report.md`, `figures/` and `best.yaml`. If the trials log to W&B,
    a summary is logged there too. A second call writes the same files and the same W&B run.
    """
    search = open_search(search_dir)
    write_trials(search)
    write_best_trial(search)
    figures = draw(search.study, search.objectives, search.path / "figures")
    write_report(search, figures)
    print(short(search))
    summarise(search, figures)
