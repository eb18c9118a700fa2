"""Ten ordinary data modules, each with its own way to draw random numbers."""

import random
from collections.abc import Iterator
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Sampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    get_worker_info,
)

Sample = tuple[Tensor, Tensor]


class Plain(L.LightningDataModule):
    """Synthetic rows; subclasses change how they are read for training.

    Args:
        batch_size: samples of a batch in one process.
        num_workers: workers of the training loader.

    Attributes:
        parted: whether each worker reads only its own part of the data.
        words: overrides for its training.
    """

    parted = False
    words: tuple[str, ...] = ()

    def __init__(self, batch_size: int = 8, num_workers: int = 0) -> None:
        super().__init__()
        self.batch_size, self.num_workers = batch_size, num_workers

    def setup(self, stage: str) -> None:
        x = torch.randn(112, 4, generator=torch.Generator().manual_seed(0))
        y = (x.sum(1) > 0).long()
        self.train: Any = TensorDataset(x[:90], y[:90])
        self.val = TensorDataset(x[90:], y[90:])

    def loader(self, dataset: Any, **how: Any) -> "DataLoader[Any]":
        if "batch_sampler" not in how:
            how = {"batch_size": self.batch_size, **how}
        return DataLoader(dataset, num_workers=self.num_workers, **how)

    def train_dataloader(self) -> Any:
        return self.loader(self.train, shuffle=True)

    def val_dataloader(self) -> "DataLoader[Any]":
        return DataLoader(self.val, batch_size=self.batch_size)


class Weighted(Plain):
    def train_dataloader(self) -> Any:
        weights = [1.0 + 3 * float(y) for _, y in self.train]
        return self.loader(self.train, sampler=WeightedRandomSampler(weights, len(weights)))


class Noisy(Dataset[Sample]):
    """Augments each sample with numpy, `random` and torch."""

    def __init__(self, rows: "TensorDataset") -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Sample:
        x, y = self.rows[i]
        x = x + 0.1 * torch.from_numpy(np.random.randn(4)).float() + 0.1 * torch.randn(4)
        return (x.flip(0) if random.random() < 0.5 else x), y


class Transforms(Plain):
    def train_dataloader(self) -> Any:
        return self.loader(Noisy(self.train), shuffle=True, drop_last=True)


def mixed(samples: list[Sample]) -> Any:
    """Collates a batch and mixes it with itself."""
    x, y = default_collate(samples)
    share = np.random.beta(0.4, 0.4)
    order = torch.randperm(len(x))
    return x * share + x[order] * (1 - share), y


class Collates(Plain):
    def train_dataloader(self) -> Any:
        return self.loader(self.train, shuffle=True, collate_fn=mixed)


class TwoLoaders(Plain):
    def train_dataloader(self) -> Any:
        few = TensorDataset(*(t[:21] for t in self.train.tensors))
        return {
            "all": self.loader(Noisy(self.train), shuffle=True),
            "few": self.loader(few, shuffle=True),
        }


class Lines(IterableDataset[Sample]):
    """Each worker reads its part, and augments it."""

    def __init__(self, rows: TensorDataset) -> None:
        self.rows = Noisy(rows)

    def mine(self) -> range:
        info = get_worker_info()
        return range(len(self.rows)) if info is None else range(info.id, 90, info.num_workers)

    def __iter__(self) -> Iterator[Sample]:
        return (self.rows[i] for i in self.mine())


class Streams(Plain):
    parted = True

    def train_dataloader(self) -> Any:
        return self.loader(Lines(self.train))


class ResumableLines(Lines):
    """Saves its position."""

    def __init__(self, rows: TensorDataset) -> None:
        super().__init__(rows)
        self.next = 0

    def __iter__(self) -> Iterator[Sample]:
        mine = self.mine()
        while self.next < len(mine):
            self.next += 1
            yield self.rows[mine[self.next - 1]]
        self.next = 0

    def state_dict(self) -> dict[str, int]:
        return {"next": self.next}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.next = state["next"]


class ResumableStreams(Plain):
    parted = True

    def train_dataloader(self) -> Any:
        return self.loader(ResumableLines(self.train))


class Buckets(Sampler[list[int]]):
    """Batches of consecutive samples, in random order."""

    def __len__(self) -> int:
        return 10

    def __iter__(self) -> Iterator[list[int]]:
        batches = [list(range(9 * i, 9 * i + 9)) for i in range(10)]
        return iter(random.sample(batches, len(batches)))


class BatchSampler(Plain):
    def train_dataloader(self) -> Any:
        return self.loader(Noisy(self.train), batch_sampler=Buckets())


class Drawn(Sampler[int]):
    """Draws each index from numpy's global generator when it is needed."""

    def __len__(self) -> int:
        return 80

    def __iter__(self) -> Iterator[int]:
        return (int(np.random.randint(90)) for _ in range(80))


class OwnSampler(Plain):
    def train_dataloader(self) -> Any:
        return self.loader(Noisy(self.train), sampler=Drawn())


class PersistentWorkers(Plain):
    def train_dataloader(self) -> Any:
        persistent = self.num_workers > 0
        return self.loader(Noisy(self.train), shuffle=True, persistent_workers=persistent)


class Jitter:
    """Has its own generators, seeded by the system."""

    def __init__(self) -> None:
        self.rng, self.py = np.random.default_rng(), random.Random()

    def __call__(self, x: Tensor) -> Tensor:
        return (
            x * self.py.uniform(0.8, 1.2) + 0.1 * torch.from_numpy(self.rng.normal(size=4)).float()
        )


class Jittered(Noisy):
    def __init__(self, rows: TensorDataset) -> None:
        super().__init__(rows)
        self.transform = Jitter()

    def __getitem__(self, i: int) -> Sample:
        x, y = super().__getitem__(i)
        return self.transform(x), y


class HeldGenerators(Plain):
    def train_dataloader(self) -> Any:
        return self.loader(Jittered(self.train), shuffle=True)


MODULES = (Weighted, Transforms, Collates, TwoLoaders, Streams, ResumableStreams,
           BatchSampler, OwnSampler, PersistentWorkers, HeldGenerators)  # fmt: skip
