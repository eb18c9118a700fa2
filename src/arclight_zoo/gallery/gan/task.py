"""Adversarial training of two networks, each with its own optimizer."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from arclight.errors import UserError
from arclight.ranges import Count
from arclight.tasks.task import OptimizerFactory, ScheduleFactory
from arclight.tasks.usage import Usage
from arclight_zoo.gallery.gan.model import GAN
from arclight_zoo.generation.task import Batch, ImageGeneration
from arclight_zoo.generation.usage import noise_usage
from arclight_zoo.pixels.image_facts import ImageFacts


class AdversarialGeneration(ImageGeneration):
    """A GAN with the non-saturating loss (Goodfellow et al., 2014) and manual optimization.

    Each step first trains the discriminator to classify images as real or generated, and then the
    generator to make images that are classified as real. Both use the config's optimizer and
    schedule.

    Args:
        model: generator and discriminator.
        facts: about the data.
        optimizer: see `Task`; one for each network.
        schedule: see `Task`; one for each network.
        samples: images per evaluation.
    """

    model: GAN

    def __init__(
        self,
        model: GAN,
        facts: ImageFacts,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory,
        samples: Count = 500,
    ) -> None:
        if not isinstance(model, GAN):
            raise UserError(
                f"task=gan needs a generator and a discriminator, but the model is a "
                f"{type(model).__name__}: type model=gan."
            )
        train_metrics = ("loss", "loss_generator", "loss_discriminator")
        super().__init__(model, facts, optimizer, schedule, samples, train_metrics)
        self.automatic_optimization = False

    def noise(self, examples: int, draw: torch.Generator) -> Tensor:
        return torch.randn(examples, self.model.latent, generator=draw)

    def make(self, noise: Tensor) -> Tensor:
        images: Tensor = self.model(noise)
        return images

    def configure_optimizers(self) -> Any:
        parts = self.model.generator, self.model.discriminator
        return [self.scheduled(self.optimizer_of(part, self.may_fuse)) for part in parts]

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        both: Any = self.optimizers()
        of_generator, of_discriminator = both
        real, made = self._images(batch)

        loss_discriminator = self._told_apart(real, made.detach())
        of_discriminator.zero_grad()
        self.manual_backward(loss_discriminator)
        of_discriminator.step()

        loss_generator = self._taken_for_real(made)
        of_generator.zero_grad()
        self.manual_backward(loss_generator)
        of_generator.step()

        schedules: Any = self.lr_schedulers()
        for schedule in schedules:
            schedule.step()
        losses = torch.stack([loss_generator.detach(), loss_discriminator.detach()]) * len(real)
        self.sums.add(losses.sum(), *losses, examples=len(real))

    def step_loss(self, batch: Batch) -> Tensor:
        real, made = self._images(batch)
        return self._told_apart(real, made.detach()) + self._taken_for_real(made)

    def _images(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Real images, and the same number of generated ones."""
        real = self.from_data(batch[0])
        noise = torch.randn(len(real), self.model.latent, device=real.device)
        return real, self.model.generator(noise)

    def _told_apart(self, real: Tensor, made: Tensor) -> Tensor:
        """The cross-entropy of the discriminator."""
        judged = self.model.discriminator
        return F.softplus(-judged(real)).mean() + F.softplus(judged(made)).mean()

    def _taken_for_real(self, made: Tensor) -> Tensor:
        return F.softplus(-self.model.discriminator(made)).mean()

    def usage(self, run: Path, config: dict[str, Any]) -> Usage:
        return noise_usage((self.model.latent,), "    (image,) = model(noise=x)\n")

    def example_inputs(self, examples: int, draw: torch.Generator) -> dict[str, Tensor]:
        return {"noise": self.noise(examples, draw)}
