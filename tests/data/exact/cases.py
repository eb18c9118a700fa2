"""Datasets, samplers and a module that draw random numbers in all usual ways."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    get_worker_info,
)

from arclight.data.exact import make_exact
from arclight.training.randomness import StepSeeds

N = 22


class Noisy(Dataset[Tensor]):
    """Each sample is its index and a number from each global generator."""

    def __init__(self, n: int = N) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> Tensor:
        return torch.tensor([float(i), float(torch.rand(())), random.random(), np.random.rand()])


class Transform:
    """A transform with its own generators, as in albumentations, seeded by the system."""

    def __init__(self) -> None:
        self.rng, self.py = np.random.default_rng(), random.Random()
        self.old, self.torch = np.random.RandomState(), torch.Generator()
        self.philox = np.random.Generator(np.random.Philox())

    def __call__(self, i: int) -> Tensor:
        drawn = [self.rng.random(), self.py.random(), self.old.rand(), self.philox.random()]
        return torch.tensor([float(i), *drawn, float(torch.rand((), generator=self.torch))])


OF_MODULE = np.random.default_rng()


class Hidden:
    """Has generators in a slot, in the class and in the module."""

    __slots__ = ("rng",)
    shared = random.Random()

    def __init__(self) -> None:
        self.rng = np.random.default_rng()

    def __call__(self, i: int) -> Tensor:
        return torch.tensor([self.rng.random(), self.shared.random(), of_module(i)])


def of_module(i: int) -> float:
    return i + float(OF_MODULE.random())


class Compose:
    def __init__(self, *transforms: Callable[[int], Tensor]) -> None:
        self.transforms = list(transforms)

    def __call__(self, i: int) -> Tensor:
        return torch.cat([transform(i) for transform in self.transforms])


class Holding(Noisy):
    """Has transforms with generators; one more is created with the first sample."""

    def __init__(self) -> None:
        super().__init__()
        self.transform = Compose(Transform(), Transform(), Compose(Compose(Hidden())))
        self.late: np.random.Generator | None = None

    def __getitem__(self, i: int) -> Tensor:
        if self.late is None:
            self.late = np.random.default_rng()
        return torch.cat([self.transform(i), torch.tensor([self.late.random()])])


class Many(Noisy):
    """Makes all samples of a batch together."""

    def __getitems__(self, indices: list[int]) -> list[Tensor]:
        return list(torch.tensor(indices)[:, None] + torch.rand(len(indices), 2))

    def __getitem__(self, i: int) -> Tensor:
        raise AssertionError("__getitems__ should be called instead")


class Drawing(Sampler[int]):
    """Draws each index when it is requested, with one of the libraries."""

    def __init__(self, library: str) -> None:
        self.draw: Callable[[], int] = {
            "torch": lambda: int(torch.randint(N, ())),
            "numpy": lambda: int(np.random.randint(N)),
            "random": lambda: random.randrange(N),
            "own": lambda: int(self.rng.integers(N)),
        }[library]
        self.rng = np.random.default_rng()

    def __len__(self) -> int:
        return N

    def __iter__(self) -> Iterator[int]:
        for _ in range(N):
            yield self.draw()


class Buckets(Sampler[list[int]]):
    """A batch sampler: batches of different sizes in random order."""

    def __len__(self) -> int:
        return 6

    def __iter__(self) -> Iterator[list[int]]:
        batches = [[0], [1, 2], [3, 4, 5], [6, 7], [8, 9, 10, 11], [12]]
        return iter(random.sample(batches, len(batches)))


def rough(samples: list[Tensor]) -> Tensor:
    """Collates and adds noise."""
    return torch.stack(samples) + np.random.rand() + random.random() + torch.rand(())


LOADERS: dict[str, Callable[[int], "DataLoader[Any]"]] = {
    "in order": lambda w: DataLoader(Noisy(), 4, num_workers=w),
    "shuffled": lambda w: DataLoader(Noisy(), 4, shuffle=True, num_workers=w),
    "replaced": lambda w: DataLoader(
        Noisy(), 4, sampler=RandomSampler(Noisy(), True, 30), num_workers=w
    ),
    "weighted": lambda w: DataLoader(
        Noisy(), 4, sampler=WeightedRandomSampler([1.0] * 5 + [9.0] * 17, N), num_workers=w
    ),
    "subset": lambda w: DataLoader(
        Noisy(), 4, sampler=SubsetRandomSampler(range(9)), drop_last=True, num_workers=w
    ),
    "own generator": lambda w: DataLoader(
        Noisy(), 4, shuffle=True, generator=torch.Generator(), num_workers=w
    ),
    "torch": lambda w: DataLoader(Noisy(), 4, sampler=Drawing("torch"), num_workers=w),
    "numpy": lambda w: DataLoader(Noisy(), 4, sampler=Drawing("numpy"), num_workers=w),
    "random": lambda w: DataLoader(Noisy(), 4, sampler=Drawing("random"), num_workers=w),
    "held by sampler": lambda w: DataLoader(Noisy(), 4, sampler=Drawing("own"), num_workers=w),
    "batch sampler": lambda w: DataLoader(Noisy(), batch_sampler=Buckets(), num_workers=w),
    "held": lambda w: DataLoader(Holding(), 4, shuffle=True, num_workers=w),
    "many": lambda w: DataLoader(Many(), 4, shuffle=True, num_workers=w),
    "collate": lambda w: DataLoader(Noisy(), 4, collate_fn=rough, num_workers=w),
    "no batches": lambda w: DataLoader(Noisy(), None, shuffle=True, num_workers=w),
    "persistent": lambda w: DataLoader(
        Noisy(), 4, shuffle=True, num_workers=w, persistent_workers=w > 0
    ),
}


class Lines(IterableDataset[Tensor]):
    """Each worker reads its part; a buffer shuffles with its own generator."""

    def __init__(self, n: int = N, buffer: int = 1) -> None:
        self.n, self.buffer = n, buffer
        self.rng = random.Random()

    def __iter__(self) -> Iterator[Tensor]:
        info = get_worker_info()
        mine = range(self.n) if info is None else range(info.id * 2, self.n, info.num_workers)
        held: list[int] = []
        for i in mine:
            held.append(i)
            if len(held) == self.buffer:
                yield self.sample(held.pop(self.rng.randrange(len(held))))
        yield from map(self.sample, held)

    def sample(self, i: int) -> Tensor:
        return torch.tensor([float(i), float(torch.rand(())), random.random(), np.random.rand()])


class StatefulLines(Lines):
    """Has a state, and counts the samples that it reads."""

    def __init__(self, n: int = N) -> None:
        super().__init__(n)
        self.next, self.read = 0, 0

    def __iter__(self) -> Iterator[Tensor]:
        info = get_worker_info()
        mine = range(self.n) if info is None else range(info.id * 2, self.n, info.num_workers)
        for place in range(self.next, len(mine)):
            self.next, self.read = place + 1, self.read + 1
            yield self.sample(mine[place])
        self.next = 0

    def state_dict(self) -> dict[str, Any]:
        return {"next": self.next}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.next = state["next"]


class Cursor:
    """An iterator with a state."""

    def __init__(self, lines: Lines) -> None:
        self.lines, self.next = lines, 0

    def __iter__(self) -> "Cursor":
        return self

    def __next__(self) -> Tensor:
        if self.next == self.lines.n:
            raise StopIteration
        self.next += 1
        return self.lines.sample(self.next)

    def state_dict(self) -> dict[str, Any]:
        return {"next": self.next}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.next = state["next"]


class Cursors(Lines):
    def __iter__(self) -> Iterator[Tensor]:
        return Cursor(self)


STREAMS: dict[str, Callable[[int], "DataLoader[Any]"]] = {
    "plain": lambda w: DataLoader(Lines(), 4, num_workers=w),
    "shuffled": lambda w: DataLoader(Lines(buffer=5), 4, num_workers=w),
    "stateful": lambda w: DataLoader(StatefulLines(), 4, num_workers=w),
    "iterator": lambda w: DataLoader(Cursors(), 4, num_workers=w),
    "drop_last": lambda w: DataLoader(StatefulLines(), 4, drop_last=True, num_workers=w),
    "no batches": lambda w: DataLoader(StatefulLines(9), None, num_workers=w),
    "collate": lambda w: DataLoader(StatefulLines(), 4, collate_fn=rough, num_workers=w),
    "persistent": lambda w: DataLoader(StatefulLines(), 4, num_workers=w, persistent_workers=w > 0),
}


class Data(L.LightningDataModule):
    """A plain module without code for resuming."""

    def __init__(self, train: Callable[[], Any]) -> None:
        super().__init__()
        self.train = train

    def train_dataloader(self) -> Any:
        return self.train()

    def val_dataloader(self) -> Any:
        return DataLoader(Noisy(6), 3)


class Net(L.LightningModule):
    """Learns to predict a sample's index, with dropout; takes batches of any structure.

    Attributes:
        seen: the epoch and the values of the batch, for each step.
    """

    def __init__(self, plans: bool = False) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Linear(8, 1))
        self.plans, self.seen = plans, list[Any]()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        parts = batch.values() if isinstance(batch, dict) else [batch]
        self.seen.append((self.current_epoch, [part.tolist() for part in parts]))
        return torch.stack([self._loss(part) for part in parts]).sum()

    def _loss(self, part: Tensor) -> Tensor:
        part = part.reshape(-1, part.shape[-1])
        part = part / torch.tensor([N, 1, 1, 1])
        return (self.net(part)[:, 0] - part[:, 0]).square().mean()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("val/loss", self._loss(batch))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), 0.01, momentum=0.9)
        if not self.plans:
            return optimizer
        steps = self.trainer.estimated_stepping_batches  # creates the loaders before their state
        assert steps
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]


class SaveAt(Callback):
    """Saves and stops after `step` batches, at this hook."""

    def __init__(self, file: Path, step: int, hook: str) -> None:
        self.file, self.step, self.hook = file, step, hook

    def _save(self, hook: str, trainer: L.Trainer) -> None:
        if trainer.sanity_checking or hook != self.hook or self.file.exists():
            return
        total: Any = trainer.fit_loop.epoch_loop.batch_progress.total
        if total.processed == self.step:
            trainer.save_checkpoint(self.file)
            raise KilledError

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        self._save("batch", trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._save("validation", trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._save("epoch", trainer)


class KilledError(Exception):
    """Raised instead of a SIGKILL."""


def fit(
    data: L.LightningDataModule, save: SaveAt | None = None, resume: Path | None = None, **how: Any
) -> Net:
    """Trains for three epochs, or until `save` ends it, or resumes from a checkpoint."""
    plans = how.pop("plans", False)
    exact = make_exact(data, 3, lambda sentence: None, check=0)
    net = Net(plans)
    callbacks: list[Callback] = [StepSeeds(5)]
    trainer = L.Trainer(
        accelerator="cpu",
        callbacks=[*callbacks, *([save] if save else [])],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"max_epochs": 3, "num_sanity_val_steps": 0, **how},
    )
    try:
        trainer.fit(net, datamodule=data, ckpt_path=resume, weights_only=True)
    except KilledError:
        pass
    finally:
        exact.close()
    return net
