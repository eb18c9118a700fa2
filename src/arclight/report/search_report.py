"""Everything that is written of a search when it ends."""

from pathlib import Path

from arclight.report.search_page import short, write_best_trial, write_report, write_trials
from arclight.report.search_plots import draw
from arclight.report.search_results import open_search
from arclight.report.wandb_summary import summarise


def conclude(search_dir: Path) -> None:
    """Writes what a search found into its directory, and prints it in short.

    `trials.csv`, `report.md`, `figures/` and `best.yaml`; and a summary in W&B where the search's
    trials log there. Doing it again writes the same files, and the same W&B run.
    """

    search = open_search(search_dir)
    write_trials(search)
    write_best_trial(search)
    figures = draw(search.study, search.objectives, search.path / "figures")
    write_report(search, figures)
    print(short(search))
    summarise(search, figures)
