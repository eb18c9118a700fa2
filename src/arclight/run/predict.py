"""Ask a run about new images or texts, from its directory alone."""

import csv
import sys
from pathlib import Path

from arclight.errors import UserError
from arclight.run.code import warn_of_changes
from arclight.run.directory import open_run
from arclight.run.evaluate import chosen_checkpoint


def predict(
    run: str, input: str, output: str | None = None, checkpoint: str | None = None
) -> list[list[str]]:
    """Writes a csv with one row for each image or text; returns its rows, the header first.

    The data set is not read: its facts lie in the run's manifest.

    Args:
        run: the run directory.
        input: an image or a folder of images; or a text file with one text in each line.
        output: the csv file; None: the terminal.
        checkpoint: a checkpoint file; None: the one that the run tested.

    Raises:
        UserError: the input is not there or not of the kind that the run was trained on.
    """
    directory = open_run(run)
    file = chosen_checkpoint(directory, checkpoint)
    place = Path(input).expanduser()
    if not place.exists():
        raise UserError(f"input={input} is neither a file nor a folder.")
    if "data" not in directory.manifest:
        raise UserError(f"{run} has not read its data yet; train it first.")
    warn_of_changes(directory)

    import torch

    from arclight.data.facts import read_facts
    from arclight.run.answers import answers
    from arclight.run.devices import device_here
    from arclight.run.parts import build_task
    from arclight.training.checkpoints import load_weights

    facts = read_facts(directory.manifest["data"])
    task = build_task(directory.config, facts, directory.path)
    load_weights(task, file)
    device = device_here(directory.config["trainer"])
    task.to(device).eval()
    with torch.inference_mode():
        rows = answers(task, facts, directory, place)
    if output:
        with open(output, "w", newline="") as target:
            csv.writer(target).writerows(rows)
        print(f"{len(rows) - 1} answers in {output}.")
    else:
        csv.writer(sys.stdout).writerows(rows)
    return rows
