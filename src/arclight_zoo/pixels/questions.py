"""Images to predict on, or to export with."""

from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from arclight.errors import UserError
from arclight.tasks.question import Question
from arclight_zoo.pixels.decode import IMAGE_SUFFIXES, model_input
from arclight_zoo.pixels.image_facts import ImageFacts

BATCH = 256
_OF_PHONES = (".heic", ".heif", ".jxl")  # are not read, but named in the answer


def image_batches(
    question: Question, facts: ImageFacts, device: torch.device
) -> Iterator[tuple[list[str], Tensor]]:
    """Yields file names and images `(batch, channels, size, size)`, preprocessed as in evaluation.

    Unreadable images are left out and noted in the question.

    Raises:
        UserError: there is no image.
    """
    files = image_files(question.place)
    for start in range(0, len(files), BATCH):
        names, images = [], []
        for number, file in enumerate(files[start : start + BATCH], start):
            try:
                images.append(model_input(file, facts))
                names.append(str(file))
            except UserError as error:
                question.gaps[number] = str(file)
                question.faults.append(str(error))
        if images:
            yield names, torch.cat(images).to(device)


def image_files(place: Path) -> list[Path]:
    """The image itself, or all images below a folder, sorted.

    Raises:
        UserError: there is no image in it.
    """
    if place.is_file():
        return [place]
    known = {*Image.registered_extensions(), *IMAGE_SUFFIXES, *_OF_PHONES}
    files = sorted(f for f in place.rglob("*") if f.suffix.lower() in known and not f.is_dir())
    files = [f for f in files if not any(p.startswith(".") for p in f.relative_to(place).parts)]
    if not files:
        raise UserError(f"input={place} holds no image: type input=FOLDER with image files.")
    return files


def random_images(facts: ImageFacts, examples: int, draw: torch.Generator) -> Tensor:
    """Normally distributed images `(examples, channels, size, size)`."""
    shape = (examples, facts.channels, facts.image_size, facts.image_size)
    return torch.randn(shape, generator=draw)
