# %% [markdown]
# # Reading a run
#
# A run is a directory, so a notebook needs no training code: it reads the files. This one uses the
# newest finished run of any task; open another with `open_run("../runs/NAME")`.

# %%
from pathlib import Path

from arclight.run_directory import open_run
from arclight.training.loggers import read_metrics

runs = [open_run(file.parent) for file in Path("../runs").glob("*/summary.json")]
finished = [run for run in runs if run.status == "finished"]
assert finished, "No run in ../runs has finished yet: python train.py makes one."
run = max(finished, key=lambda run: run.summary_file.stat().st_mtime)
run.path, run.config["task"]["_target_"], run.summary["metrics"]

# %%
rows = read_metrics(run.metrics_file)
validated = [
    {k: float(v) for k, v in r.items() if v and (k == "step" or k[:4] == "val/")} for r in rows
]
[row for row in validated if len(row) > 1][-5:]

# %% [markdown]
# The run's plots, starting with the learning curves:

# %%
from IPython.display import Image, display

for picture in sorted(run.plots.glob("*.png"), reverse=True):
    display(Image(picture))

# %% [markdown]
# The model, rebuilt from the run directory, with the tested weights. The content of a batch depends
# on the task; the last lines are for image classification.

# %%
from arclight.run.assembly import build_parts
from arclight.training.checkpoint_files import load_weights
from arclight_zoo.image.classification import ImageClassification

parts = build_parts(run.config, run.path)
load_weights(parts.task, run.checkpoints / run.summary["tested_checkpoint"])
batch = next(iter(parts.data.test_dataloader()))
if isinstance(parts.task.eval(), ImageClassification):
    images, labels = batch
    print((parts.task(images).argmax(1) == labels).float().mean().item())
