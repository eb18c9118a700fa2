"""Shows runs and searches as one table: python scripts/results.py DIR... [key=value ...]

Every run in the folders, at any depth, is a row: the keys in which runs differ, status and metrics.
python scripts/results.py compare A B shows two runs side by side: configs, code, metrics and
predictions.

Keys:
  where     conditions, such as where="model=cnn,optimizer.lr<0.01,status!=failed"
  by        group by these keys: mean, deviation and number of finished runs, e.g.
            by=model,optimizer.lr for means over seeds and folds; auto: by all keys that differ
  mixed     true: runs of one row may differ in more than seed and fold
  sort      a column: metrics best first, settings ascending; sort=-KEY reverses the order
  metrics   the metrics to show, or all; default: the metric that selects checkpoints, the same
            metric of the test, and the training time
  format    markdown (default), csv (all digits) or latex
  output    a file for the table; default: the terminal
  figures   a folder for plots: history, importances, slices, Pareto front, parallel coordinates
  best      a file for the best run's config: python train.py experiment=best_of path=FILE
"""

import sys
from pathlib import Path

from arclight.config.arguments import arguments, listed, plain_value, without_cfg
from arclight.config.entry import plain_errors
from arclight.config.suggest import did_you_mean
from arclight.errors import UserError
from arclight.files import write_text

KEYS = ("where", "by", "mixed", "sort", "metrics", "format", "output", "figures", "best")


def main() -> None:
    if sys.argv[1:2] == ["compare"]:
        compare(sys.argv[2:])
        return
    words, only_shown = without_cfg(sys.argv[1:])
    places = [plain_value(word) for word in words if _is_place(word)]
    sys.argv[1:] = [word for word in words if not _is_place(word)]
    sys.argv[1:] += ["--cfg", "job"] if only_shown else []
    given = arguments(__doc__, optional=KEYS)
    if not places:
        raise UserError("Give at least one folder of runs or searches, such as runs.")
    from arclight.report.differences import distinguishing
    from arclight.report.filters import ordered, where
    from arclight.report.metrics import chosen_metrics
    from arclight.report.results import collect
    from arclight.report.rows import for_machines, for_reading, grouped, run_rows
    from arclight.report.tables import FORMATS

    kind = given.get("format", "markdown")
    if kind not in FORMATS:
        raise UserError(f"format={kind} is not known{did_you_mean(kind, list(FORMATS))}")
    runs = collect(places)
    if not runs:
        raise UserError(f"There is no run in {', '.join(places)}.")
    if "where" in given:
        runs = where(runs, given["where"])
    metrics = chosen_metrics(runs, ",".join(listed(given, "metrics")) or None)
    if given.get("mixed", "false") not in ("true", "false"):
        raise UserError(f"mixed={given['mixed']} should be true or false.")
    rows = None
    if "by" in given:
        by = distinguishing(runs) if given["by"] == "auto" else listed(given, "by")
        rows = grouped(runs, by, metrics, mixed=given.get("mixed") == "true")
    rows = run_rows(runs, metrics) if rows is None else rows
    if "sort" in given:
        rows = ordered(rows, given["sort"], runs)
    text = FORMATS[kind](for_machines(rows) if kind == "csv" else for_reading(rows))
    if "output" in given:
        write_text(Path(given["output"]), text + "\n")
    else:
        print(text)
    if "figures" in given:
        from arclight.report.pictures import draw_all

        for file in draw_all(places, runs, Path(given["figures"])):
            print(file, file=sys.stderr)
    if "best" in given:
        from arclight.report.best import write_best_run

        write_best_run(runs, Path(given["best"]))


def compare(words: list[str]) -> None:
    """Compares two runs."""
    if len(words) != 2:
        raise UserError("Give two runs: python scripts/results.py compare runs/A runs/B.")
    from arclight.paper.side_by_side import side_by_side

    print(side_by_side(words[0], words[1]))


def _is_place(word: str) -> bool:
    """Whether a word is a path. It may contain `=`: `seed=0` is a folder of a trial."""
    return not word.startswith("-") and ("=" not in word or Path(word).exists())


if __name__ == "__main__":
    with plain_errors():
        main()
