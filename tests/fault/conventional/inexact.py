"""Data modules with state that no checkpoint can hold: they cannot be resumed exactly."""

import random
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import (
    Dataset,
    IterableDataset,
    Sampler,
    WeightedRandomSampler,
)

from .data import Noisy, Plain, Sample
from .tricky import Buffered


class Counting(Sampler[int]):
    """Counts the epochs itself."""

    def __init__(self) -> None:
        self.passes = 0

    def __len__(self) -> int:
        return 90

    def __iter__(self) -> Iterator[int]:
        self.passes += 1
        draw = torch.Generator().manual_seed(self.passes)
        return iter(torch.randperm(90, generator=draw).tolist())


class SelfCounting(Plain):
    def train_dataloader(self) -> Any:
        return self.loader(self.train, sampler=Counting())


class Hard(Plain):
    """Changes the weights of its sampler, depending on the batches."""

    def train_dataloader(self) -> Any:
        self.sampler = WeightedRandomSampler([1.0] * 90, 90)
        return self.loader(self.train, sampler=self.sampler)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        if self.trainer.training:
            self.sampler.weights[int(batch[0].abs().sum()) % 90] += 1
        return batch


class FromLoss(Plain):
    """Reads the loss from the trainer."""

    def train_dataloader(self) -> Any:
        return self.loader(self.train, sampler=ByLoss(self))


class ByLoss(Sampler[int]):
    def __init__(self, data: Plain) -> None:
        self.data = data

    def __len__(self) -> int:
        return 40

    def __iter__(self) -> Iterator[int]:
        loss = self.data.trainer.callback_metrics.get("train_loss", torch.tensor(0.0))
        for _ in range(40):
            yield int(torch.randint(90, ()) + 1000 * loss) % 90


class Clock(Dataset[Sample]):
    """Draws from the system's generator."""

    def __init__(self, rows: Any) -> None:
        self.rows, self.system = rows, random.SystemRandom()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Sample:
        x, y = self.rows[i]
        return x * (1 + 0.1 * self.system.random()), y


class FromSystem(Plain):
    def train_dataloader(self) -> Any:
        return self.loader(Clock(self.train), shuffle=True)


class Unrepeatable(IterableDataset[Sample]):
    def __init__(self, rows: Any) -> None:
        self.rows, self.system = rows, random.SystemRandom()

    def __iter__(self) -> Iterator[Sample]:
        return (self.rows[self.system.randrange(90)] for _ in range(60))


class Forgetful(Buffered):
    """Saves how far it has read, but not the content of its buffer."""

    def __init__(self, rows: Any) -> None:
        super().__init__(rows)
        self.at = 0

    def __iter__(self) -> Iterator[Sample]:
        for sample in super().__iter__():
            self.at += 1
            yield sample

    def state_dict(self) -> dict[str, int]:
        return {"at": self.at}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.at = state["at"]


class ForgetfulStream(Plain):
    parted = True

    def train_dataloader(self) -> Any:
        return self.loader(Forgetful(self.train))


class Feed(Plain):
    parted = True

    def train_dataloader(self) -> Any:
        return self.loader(Unrepeatable(self.train))


class KeepsAugmented(Dataset[Sample]):
    """Augments each sample once, and caches the result."""

    def __init__(self, rows: Any) -> None:
        self.rows = Noisy(rows)
        self.kept: dict[int, Sample] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Sample:
        if i not in self.kept:
            self.kept[i] = self.rows[i]
        return self.kept[i]


class AugmentedOnce(Plain):
    def train_dataloader(self) -> Any:
        return self.loader(KeepsAugmented(self.train), shuffle=True)


class Fading(Noisy):
    """Its noise becomes weaker with each sample."""

    def __init__(self, rows: Any) -> None:
        super().__init__(rows)
        self.read = 0

    def __getitem__(self, i: int) -> Sample:
        x, y = self.rows[i]
        self.read += 1
        return x + 0.1 * torch.randn(4) / self.read, y


class Fades(Plain):
    def train_dataloader(self) -> Any:
        persistent = self.num_workers > 0
        return self.loader(Fading(self.train), shuffle=True, persistent_workers=persistent)


class Own(Plain):
    """A custom loader that is not a `DataLoader`."""

    def train_dataloader(self) -> Any:
        return Chunks(self.train.tensors)


class Chunks:
    def __init__(self, tensors: Any) -> None:
        self.tensors = tensors

    def __len__(self) -> int:
        return 10

    def __iter__(self) -> Iterator[Any]:
        for rows in torch.randperm(90).view(10, 9):
            yield [t[rows] for t in self.tensors]


INEXACT = (
    SelfCounting,
    Hard,
    FromLoss,
    FromSystem,
    Feed,
    ForgetfulStream,
    AugmentedOnce,
    Fades,
    Own,
)
