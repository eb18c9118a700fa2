"""The base of all tasks on images."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from arclight.data.facts import Facts
from arclight.errors import UserError
from arclight.tasks.task import Task
from arclight_zoo.pixels.drawing import draw_image
from arclight_zoo.pixels.image_facts import ImageFacts
from arclight_zoo.pixels.questions import random_images

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class PixelTask(Task):
    """A task whose batches are images `(batch, channels, size, size)` and their classes."""

    def known(self) -> ImageFacts:
        """The facts about the images.

        Raises:
            UserError: the data module does not provide them.
        """
        if not isinstance(self.facts, ImageFacts):
            raise UserError(
                "The data module of this run does not provide the size, channels and classes of "
                "its images: set its attribute `facts` to an ImageFacts."
            )
        return self.facts

    def blank_images(self, facts: Facts, examples: int) -> Tensor:
        """Zeros `(examples, channels, size, size)`; raises NotImplementedError for other data."""
        if not isinstance(facts, ImageFacts):
            raise NotImplementedError("these facts do not contain the shape of an image")
        return torch.zeros(examples, facts.channels, facts.image_size, facts.image_size)

    def blank_batch(self, facts: Facts, examples: int) -> Any:
        """Blank images and class 0 for each, `(examples,)`."""
        return self.blank_images(facts, examples), torch.zeros(examples, dtype=torch.long)

    def draw_example(self, axis: "Axes", batch: Any, place: int) -> None:
        if not isinstance(self.facts, ImageFacts):
            raise NotImplementedError("these facts do not contain the normalisation of images")
        draw_image(axis, batch[0][place], self.facts)

    def example_inputs(self, examples: int, draw: torch.Generator) -> dict[str, Tensor]:
        return {"images": random_images(self.known(), examples, draw)}
