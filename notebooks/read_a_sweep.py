# %% [markdown]
# # Reading a sweep
#
# The same functions as in `python scripts/results.py`: each run is a row, and a search is a study of runs.

# %%
from pathlib import Path

from arclight.report.filters import ordered, where
from arclight.report.results import collect
from arclight.report.rows import for_reading, grouped, run_rows
from arclight.report.tables import markdown

runs = collect(["../runs"])
print(markdown(for_reading(run_rows(runs))))

# %% [markdown]
# Some of the runs, and means with standard deviations over the seeds. Unfinished runs are counted, but
# left out of the means.

# %%
chosen = where(runs, "status=finished,optimizer.lr<0.1")
rows = grouped(chosen, ["optimizer.lr"])
print(markdown(for_reading(ordered(rows, "val/accuracy", chosen))))

# %% [markdown]
# The search directory also holds the study, with pruned and failed trials and the reasons.

# %%
from arclight.report.search_results import open_search

newest = max(Path("../runs").glob("search/*/search.yaml"), key=lambda f: f.stat().st_mtime)
search = open_search(newest.parent)
search.counts, search.best.values, search.best.params

# %%
from arclight.report.search_plots import draw, importance

figures = draw(search.study, search.objectives, search.path / "figures")
importance(search.study)

# %%
from IPython.display import Image, display

for figure in figures.values():
    display(Image(figure))

# %% [markdown]
# The overrides of the best trial, which `experiment=best_of` reads from `best.yaml`:

# %%
from arclight.report.search_page import best_overrides

best_overrides(search, search.best)
