"""The plots of a run's test and their content."""

from pathlib import Path

import numpy as np
import pytest
import torch

from arclight.report.class_plots import calibration_error, class_scores
from arclight.report.examples import Examples, read_examples
from arclight.report.run_pictures import COLUMNS, ROWS, worst_of
from arclight.run.assembly import build_parts
from arclight.run.execute import execute
from arclight.run_directory import create
from tests.conftest import Composed

SMALL = {
    "images": ("model.widths=[4,8]",),
    "texts": ("model=bert", "model.d_model=16", "model.n_layers=1", "data.max_length=24"),
    "images_and_texts": ("model=clip",),
}
FEW = ("data.limit=48", "data.batch_size=16", "trainer.max_epochs=1", "preflight=false")
DRAWN = {"class_scores", "calibration", "mistakes", "confusion_matrix", "curves"}


def examples(targets: list[int], predictions: list[int], scores: list[float]) -> Examples:
    ids = np.arange(len(targets))
    return Examples(ids, np.array(targets), np.array(predictions), np.array(scores), [])


@pytest.mark.usefixtures("plots")
@pytest.mark.parametrize(
    "kind", [*SMALL][:1] + [pytest.param(k, marks=pytest.mark.slow) for k in [*SMALL][1:]]
)
def test_a_classifier_shows_its_mistakes_and_how_sure_it_was(
    composed: Composed, tmp_path: Path, kind: str
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = composed(*SMALL[kind], *FEW, "logger=tensorboard")
    run = create(None, tmp_path, kind, config, [], {})
    assert execute(run) == 0
    assert {file.stem for file in run.plots.iterdir()} == DRAWN
    board = EventAccumulator(str(next(run.path.rglob("events.out*")).parent))
    board.Reload()
    assert set(board.Tags()["images"]) == {f"plots/{name}" for name in DRAWN}


def test_examples_are_those_of_the_test_set(composed: Composed, tmp_path: Path) -> None:
    data = build_parts(composed("data.limit=40", "data.batch_size=16"), tmp_path).data
    images, labels = (torch.cat(column) for column in zip(*data.test_dataloader(), strict=True))
    chosen, known = data.examples("test", [33, 2])
    assert torch.equal(chosen, images[[33, 2]])
    assert torch.equal(known, labels[[33, 2]])


def test_the_worst_mistakes_are_the_most_confident_ones() -> None:
    found = examples([0, 1, 2, 3, 4], [0, 2, 1, 4, 3], [0.99, 0.5, 0.9, 0.5, 0.7])
    assert worst_of(found).tolist() == [2, 4, 1, 3]
    many = examples([0] * 50, [1] * 50, [0.5] * 50)
    assert worst_of(many).tolist() == list(range(COLUMNS * ROWS))


def test_the_calibration_error_is_the_mean_gap_of_the_bins() -> None:
    found = examples([0] * 10, [0] * 6 + [1] * 4, [0.85] * 8 + [0.15, 1.0])
    error, rows = calibration_error(found)
    assert error == pytest.approx(0.8 * (0.85 - 0.75) + 0.1 * 0.15 + 0.1 * 1.0)
    assert rows[:, 2].tolist() == [1, 8, 1]
    right = examples([0, 0, 1, 1], [0, 1, 1, 0], [0.5] * 4)
    assert calibration_error(right)[0] == 0


def test_classes_that_never_occur_or_were_never_predicted_are_drawn(tmp_path: Path) -> None:
    matrix = torch.tensor([[3, 1, 0], [2, 0, 0], [0, 0, 0]])
    assert class_scores(matrix, ["a", "b", "$c_"], tmp_path / "few.png").is_file()
    many = torch.eye(60, dtype=torch.long)
    names = [f"class {i}" for i in range(60)]
    assert class_scores(many, names, tmp_path / "many.png").is_file()


def test_a_run_without_mistakes_has_no_picture_of_them(composed: Composed, tmp_path: Path) -> None:
    from arclight.report.run_pictures import mistakes

    found = examples([0, 1], [0, 1], [1.0, 1.0])
    parts = build_parts(composed("data.limit=8", "data.batch_size=8"), tmp_path)
    assert mistakes(parts.task, parts.data, found, tmp_path / "mistakes.png") is None  # type: ignore[arg-type]
    assert read_examples(tmp_path / "predictions.parquet") is None
