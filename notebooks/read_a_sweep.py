# %% [markdown]
# # Reading a sweep
#
# The same functions as `python scripts/results.py`: runs are rows, and a search is a study with runs.

# %%
from pathlib import Path

from arclight.report import results
from arclight.report.tables import markdown

runs = results.collect(["../runs"])
print(markdown(results.for_reading(results.listed(runs))))

# %% [markdown]
# Some of them, and means with deviations over the seeds. What has not finished is counted, and left
# out of the means.

# %%
chosen = results.where(runs, "status=finished,optimizer.lr<0.1")
rows = results.grouped(chosen, ["optimizer.lr"])
print(markdown(results.for_reading(results.ordered(rows, "val/accuracy", chosen))))

# %% [markdown]
# A search's own directory holds more: the study, with what was pruned and what failed, and why.

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
# The words that make the best trial's config, as `experiment=best_of` reads them from `best.yaml`:

# %%
from arclight.report.search_page import best_overrides

best_overrides(search, search.best)
