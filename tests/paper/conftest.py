"""A paper of two rows with runs that were never trained."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arclight.config.compose import hydra_ready
from arclight.paper.cells import Cell, plan
from arclight.paper.compose import divided, settings_of
from arclight.paper.settings import Paper
from arclight.provenance.code import digests
from arclight.run_directory import RunDirectory, create

TINY = ("paper=tiny", "paper.seeds=[0,1,2]")
Filled = Callable[..., Path]


def planned(*words: str) -> tuple[Paper, dict[str, Any], list[Cell]]:
    """The paper of these overrides, and its cells."""
    own, typed = divided(words)
    with hydra_ready():
        paper, node = settings_of(own)
        return paper, node, plan(paper, typed, Path(paper.dir))


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    """Makes the runs of the tiny paper, with these accuracies by row (None: the run failed)."""

    def fill(*words: str, **reached: list[float | None]) -> Path:
        folder = tmp_path / "paper"
        _, _, cells = planned(*TINY, f"paper.dir={folder}", *words)
        for cell in cells:
            values = reached.get(cell.row, [])
            if cell.seed < len(values):
                make(cell.path, cell.config, values[cell.seed])
        return folder

    return fill


def make(path: Path, config: dict[str, Any], accuracy: float | None) -> RunDirectory:
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"fingerprint": "f" * 64, "sizes": {"train": 80, "val": 10, "test": 100}}
    hardware = {"cpu": "a CPU", "threads": 1, "gpus": []}
    manifest = {"code": digests(), "choices": {}, "data": facts, "hardware": hardware}
    run = create(path, path.parent, path.name, config, [], manifest)
    if accuracy is None:
        run.update_summary(status="failed", error="NonFiniteError: the loss is not finite")
        return run
    metrics = {"test/accuracy": accuracy, "val/accuracy": accuracy - 0.01}
    run.update_summary(
        status="finished", metrics=metrics, parameters=5226, seconds=2.0, training_seconds=1.0
    )
    run.metrics_file.write_text(f"step,val/accuracy\n10,{accuracy / 2}\n20,{accuracy - 0.01}\n")
    import pyarrow as pa
    from pyarrow import parquet

    wrong = round(100 * (1 - accuracy))
    table = {
        "id": np.arange(100),
        "target": np.zeros(100, int),
        "prediction": (np.arange(100) < wrong).astype(int),
        "score": np.ones(100, np.float32),
    }
    parquet.write_table(pa.table(table), run.predictions_file)
    return run
