"""The teacher: the model of an earlier run, frozen."""

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from arclight import UserError, load, train
from arclight_zoo.pixels.image_facts import ImageFacts

ALIKE = ("class_names", "image_size", "channels")


class Teacher:
    """The frozen model of an earlier run; not a submodule of the student's task.

    Args:
        run: the run directory.
        words: train the run first, with these overrides of train.py; None: the run exists.
        facts: of the student's data.
        device: where it computes.

    Raises:
        UserError: there is no such run, or it was trained on other images or classes.
    """

    def __init__(
        self, run: str, words: Sequence[str] | None, facts: ImageFacts, device: torch.device
    ) -> None:
        task: Any = (load(run) if words is None else train(run, *words)).task
        known = getattr(task, "facts", None)
        model = getattr(task, "model", None)
        if not isinstance(known, ImageFacts) or not isinstance(model, nn.Module):
            raise UserError(f"The teacher {run} is not a run of image classification.")
        for name in ALIKE:
            if getattr(known, name) != getattr(facts, name):
                raise UserError(
                    f"The teacher {run} was trained on images with {name} {getattr(known, name)}, "
                    f"but the student's have {getattr(facts, name)}: give both the same data."
                )
        self.model = model.to(device).eval().requires_grad_(False)
        self.scale, self.shift = _normalized_again(facts, known, device)

    def __call__(self, images: Tensor) -> Tensor:
        """Logits `(batch, classes)` of images with the student's normalization."""
        with torch.no_grad():
            logits: Tensor = self.model(images * self.scale + self.shift)
        return logits

    def digest(self) -> str:
        """SHA-256 of the weights, so that a resumed run can check its teacher."""
        digest = hashlib.sha256()
        for value in self.model.state_dict().values():
            digest.update(value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def _normalized_again(
    student: ImageFacts, teacher: ImageFacts, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Scale and shift `(channels, 1, 1)` from the student's normalization to the teacher's.

    They differ if one was trained on a subset of the images, as with `data.limit`.
    """

    def of(values: list[float]) -> Tensor:
        return torch.tensor(values, device=device)[:, None, None]

    scale = of(student.std) / of(teacher.std)
    return scale, (of(student.mean) - of(teacher.mean)) / of(teacher.std)
