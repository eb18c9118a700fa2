"""The data: scikit-learn's 1,797 digits of 8x8 pixels, with noise added."""

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor

from arclight import DataModule, Facts
from arclight.data.order import EvalBatches, TrainBatches
from arclight.data.rows import RowLoader


@dataclass(frozen=True, kw_only=True)
class PixelFacts(Facts):
    """Facts about the data that are known before the model and the task are built."""

    pixels: int

    def for_model(self) -> dict[str, Any]:
        """The values for arguments that the model's config leaves null."""
        return {"pixels": self.pixels}


class NoisyDigits(DataModule):
    """Pairs of a noisy and a clean image, each `(batch, 64)`; clean pixels are from 0 to 1.

    Args:
        noise: standard deviation of the noise that is added to each pixel.
        batch_size: images per optimizer step.
        seed: the run's seed.
    """

    holds = "noisy and clean images"  # other tasks reject these data with a message

    def __init__(self, noise: float, batch_size: int, seed: int) -> None:
        super().__init__("digits", batch_size, None, seed)
        self.noise = noise

    def setup(self, stage: str | None = None) -> None:
        """Reads and splits the images; may be called more than once."""
        images = torch.tensor(load_digits().data, dtype=torch.float32) / 16
        images = images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))]
        self.parts = {"train": images[:1300], "val": images[1300:1500], "test": images[1500:]}
        self.facts = PixelFacts(
            sizes={name: len(part) for name, part in self.parts.items()},
            fingerprint=hashlib.sha256(images.numpy().tobytes()).hexdigest(),
            pixels=images.shape[1],
        )

    def make_loader(
        self, stage: str, batches: TrainBatches | EvalBatches, device: torch.device
    ) -> RowLoader:
        clean = self.parts[stage]

        def make(rows: Tensor, epoch: int | None) -> tuple[Tensor, Tensor]:
            # Randomness must depend only on the seed, the epoch and the image, so that a resumed
            # run sees the same noise as an uninterrupted one. In evaluation, `epoch` is None.
            seed = 0 if epoch is None else 1 + 10_000 * self.seed + epoch
            draw = torch.Generator().manual_seed(seed)
            noise = self.noise * torch.randn(clean.shape, generator=draw)
            return clean[rows] + noise[rows], clean[rows]

        return RowLoader(batches, make)
