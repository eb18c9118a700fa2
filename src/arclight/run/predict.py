"""Label new images with a run, from its directory alone."""

import csv
import sys
from pathlib import Path

from arclight.errors import UserError
from arclight.run.directory import open_run
from arclight.run.evaluate import chosen_checkpoint

BATCH = 256


def predict(
    run: str, input: str, output: str | None = None, checkpoint: str | None = None
) -> list[list[str]]:
    """Writes a csv of labels and probabilities, one row for each image; returns its rows.

    The data set is not read: its facts lie in the run's manifest.
    """
    directory = open_run(run)
    file = chosen_checkpoint(directory, checkpoint)
    files = image_files(Path(input).expanduser())
    if "data" not in directory.manifest:
        raise UserError(f"{run} has not read its data yet; train it first.")

    import torch

    from arclight.data.decode import model_input
    from arclight.data.facts import ImageFacts, read_facts
    from arclight.run.fit import build_task
    from arclight.training.checkpoints import load_weights

    facts = read_facts(directory.manifest["data"])
    assert isinstance(facts, ImageFacts)
    task = build_task(directory.config, facts)
    load_weights(task, file)
    task.eval()
    rows = [["file", "label", *facts.class_names]]
    with torch.inference_mode():
        for start in range(0, len(files), BATCH):
            part = files[start : start + BATCH]
            images = torch.cat([model_input(path, facts) for path in part])
            for path, chances in zip(part, task.predict_step(images, 0).tolist(), strict=True):
                label = facts.class_names[max(range(len(chances)), key=chances.__getitem__)]
                rows.append([str(path), label, *(f"{p:.6f}" for p in chances)])
    if output:
        with open(output, "w", newline="") as target:
            csv.writer(target).writerows(rows)
        print(f"{len(files)} images labelled in {output}.")
    else:
        csv.writer(sys.stdout).writerows(rows)
    return rows


def image_files(place: Path) -> list[Path]:
    """The image itself, or all images below a folder, sorted.

    Raises:
        UserError: there is no such place, or no image in it.
    """
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise UserError(f"input={place} is neither a file nor a folder.")
    from PIL import Image

    known = Image.registered_extensions()
    files = sorted(f for f in place.rglob("*") if f.suffix.lower() in known)
    if not files:
        raise UserError(f"input={place} holds no image; name a folder with image files.")
    return files
