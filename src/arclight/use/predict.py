"""Predicts on new inputs with a run, from its directory."""

import csv
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arclight.cells import cell
from arclight.errors import UserError
from arclight.files import write_whole
from arclight.provenance.code import warn_of_changes
from arclight.run.opened import open_checked
from arclight.run_directory import chosen_checkpoint

if TYPE_CHECKING:
    from arclight.tasks.question import Question, Rows


def predict(
    run: str, input: str, output: str | None = None, checkpoint: str | None = None
) -> list[list[str]]:
    """Writes a csv file with a row for each image or line; returns its rows, the header first.

    A blank line and an unreadable image get a row too, with empty cells after the name, so row n
    belongs to line n.

    The data set is not read: its facts are in the run's manifest.

    Args:
        run: the run directory.
        input: an image or a folder of images; or a text file with one text in each line.
        output: the csv file; None: the terminal. Files that are part of the prediction, such as
            masks, are written to a folder with its name without `.csv`.
        checkpoint: a checkpoint file; None: the one that the run tested.

    Raises:
        UserError: the input does not exist or is of another kind than the training data, or the
            output cannot be written. Unreadable images raise it at the end, after everything else
            has been predicted and written.
    """
    directory = open_checked(run)
    chosen_checkpoint(directory, checkpoint)  # before torch is imported
    place = Path(input).expanduser()
    if not place.exists():
        raise UserError(f"input={input} is neither a file nor a folder.")
    target = Path(output).expanduser() if output else None
    if target and target.is_dir():
        raise UserError(f"output={output} is a folder: type output={output}/FILE.csv.")
    if target and not target.parent.is_dir():
        raise UserError(f"output={output} is in a folder that does not exist: create it first.")
    if "data" not in directory.manifest:
        raise UserError(f"{run} has not read its data yet; train it first.")
    warn_of_changes(directory)

    import torch

    from arclight.processes.devices import device_here
    from arclight.run.assembly import load_task
    from arclight.tasks.question import Question

    task = load_task(directory, checkpoint)
    task.to(device_here(directory.config["trainer"]))
    files = target.with_suffix("") if target and target.suffix else None
    question = Question(place, directory.path, directory.config, files=files)
    with torch.inference_mode():
        rows = answers(task, question)
    if target:
        written = io.StringIO(newline="")
        csv.writer(written).writerows(map(cell, row) for row in rows)
        content = written.getvalue().encode(errors="surrogateescape")  # for odd file names
        _write(target, content)
        print(f"{len(rows) - 1 - len(question.gaps)} answers in {output}.")
    else:
        csv.writer(sys.stdout).writerows(map(cell, row) for row in rows)
    if bad := [row[0] for row in rows[1:] if {"nan", "inf", "-inf"} & {*map(str, row[1:])}]:
        raise UserError(
            f"{len(bad)} of {len(rows) - 1} answers are not finite; the first is of {bad[0]}."
        )
    if question.faults:
        raise UserError(
            f"{len(question.faults)} of {len(rows) - 1} inputs cannot be read and have no answer "
            f"in their row; the first: {question.faults[0]}"
        )
    return rows


def answers(task: Any, question: "Question") -> "Rows":
    """A header, and a row for each input; inputs without a prediction have empty cells.

    Raises:
        UserError: the task does not define predictions, or cannot use the inputs.
    """
    if not hasattr(task, "answer"):
        raise UserError(
            f"{type(task).__name__} does not define predictions: define `answer(self, question)`, "
            "which returns a header and a row for each input (arclight.tasks.question.Question)."
        )
    header, *rows = task.answer(question)
    for number, name in sorted(question.gaps.items()):
        rows.insert(number, [name, *("" for _ in header[1:])])
    return [header, *rows]


def _write(target: Path, content: bytes) -> None:
    """Writes atomically to regular files; writes directly to pipes, links and devices."""
    try:
        if target.is_symlink() or (target.exists() and not target.is_file()):
            target.write_bytes(content)
        else:
            write_whole(target, lambda opened: opened.write(content))
    except OSError as error:
        raise UserError(f"output={target} cannot be written ({error.strerror}).") from error
