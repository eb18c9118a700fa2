"""`predictions.parquet`: the predictions of a run's test, to compare runs by example."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import lightning as L

from arclight.files import write_whole
from arclight.run_directory import RunDirectory
from arclight.tasks.predictions import Predictions
from arclight.tasks.task import Task


@contextmanager
def kept_predictions(
    run: RunDirectory, task: L.LightningModule, trainer: L.Trainer
) -> Iterator[None]:
    """Saves the predictions that the task keeps (`Task.keep`) in a test within the context."""
    if not isinstance(task, Task):
        yield
        return
    task.predictions = Predictions(trainer.global_rank, trainer.world_size)
    try:
        yield
        table = task.predictions.table()
    finally:
        task.predictions = None
    if table is None or not trainer.is_global_zero:
        return
    import pyarrow as pa
    from pyarrow import parquet

    names = json.dumps(task.class_names)
    written = pa.table(table).replace_schema_metadata({"class_names": names})
    write_whole(run.predictions_file, lambda file: parquet.write_table(written, file))
