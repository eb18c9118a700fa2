"""The plots of a finished run, in its `plots` folder."""

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from numpy.typing import NDArray

from arclight.canvas import figure, save
from arclight.data.module import DataModule
from arclight.report.class_plots import calibration, class_scores, confusion_matrix
from arclight.report.examples import Examples, read_examples
from arclight.report.plots import curves
from arclight.run_directory import RunDirectory
from arclight.tasks.task import Task

COLUMNS, ROWS = 6, 3  # panels in the plot of mistakes
LETTERS = 16  # maximum length of a class name


def draw(
    run: RunDirectory, task: L.LightningModule, data: L.LightningDataModule, tested: bool
) -> list[Path]:
    """Draws the learning curves and the results of the test.

    For a classifier these are the confusion matrix, the scores of each class, the calibration and
    the worst mistakes.

    Args:
        run: the run directory.
        task: the task after its test.
        data: the data module.
        tested: whether there was a test.

    Returns:
        The image files.
    """
    folder = run.plots
    images = [curves(run.metrics_file, folder / "curves.png")] if run.metrics_file.exists() else []
    if isinstance(task, Task) and tested:
        if (matrix := task.confusion_matrix) is not None:
            images += [
                confusion_matrix(matrix, task.class_names, folder / "confusion_matrix.png"),
                class_scores(matrix, task.class_names, folder / "class_scores.png"),
            ]
        found = read_examples(run.predictions_file)
        if found is not None and found.are_classes:
            if ((found.score >= 0) & (found.score <= 1)).all():
                images.append(calibration(found, folder / "calibration.png"))
            images.append(mistakes(task, data, found, folder / "mistakes.png"))
        images += task.pictures(folder)
    return [image for image in images if image]


def mistakes(task: Task, data: L.LightningDataModule, found: Examples, target: Path) -> Path | None:
    """Draws the wrong predictions with the highest scores, and their true classes.

    None if there are none, or the task does not define `draw_example`.
    """
    worst = worst_of(found)
    if not len(worst) or not isinstance(data, DataModule):
        return None
    batch = data.examples("test", found.id[worst].tolist())
    rows = -(-len(worst) // COLUMNS)
    drawn, axes = figure(COLUMNS, 1.8, rows, layout=None)
    drawn.subplots_adjust(0.02, 0.02, 0.98, 1 - 0.22 / rows, 0.1, 0.25)
    for axis in axes:
        axis.set_axis_off()
    for i, (axis, place) in enumerate(zip(axes, worst, strict=False)):
        try:
            task.draw_example(axis, batch, i)
        except NotImplementedError:
            return None
        said, true = (_named(found, column[place]) for column in (found.prediction, found.target))
        words = f"predicted {said} ({found.score[place]:.2f})\ntrue {true}"
        axis.set_title(words, fontsize=7, parse_math=False)
    return save(drawn, target)


def worst_of(found: Examples) -> NDArray[np.int64]:
    """Indices of the wrong predictions with the highest scores, in descending order."""
    wrong = np.flatnonzero(~found.right)
    return wrong[np.argsort(-found.score[wrong], kind="stable")][: COLUMNS * ROWS]


def _named(found: Examples, number: Any) -> str:
    name = found.names[int(number)] if found.names else str(number)
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 3]}..."
