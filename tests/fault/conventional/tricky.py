"""More data modules, each with randomness or state that is hard to find, but can be resumed."""

import json
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import (
    Dataset,
    DistributedSampler,
    IterableDataset,
    Sampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    get_worker_info,
    random_split,
)

from .data import Noisy, Plain, Sample

OF_MODULE = np.random.default_rng(7)


class Transformed(Dataset[Sample]):
    """Rows, each transformed by a function."""

    def __init__(self, rows: Any, transform: Callable[[Tensor], Tensor]) -> None:
        self.rows, self.transform = rows, transform

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Sample:
        x, y = self.rows[i]
        return self.transform(x), y


class Listed(Plain):
    """Two loaders in a list; the shorter one is repeated, and half of an epoch is used."""

    words = ("trainer.limit_train_batches=0.5",)

    def train_dataloader(self) -> Any:
        few = TensorDataset(*(t[:30] for t in self.train.tensors))
        return [self.loader(Noisy(self.train), shuffle=True), self.loader(few, shuffle=True)]


class Shift:
    def __init__(self) -> None:
        self._draw = torch.Generator().manual_seed(3)

    def __call__(self, x: Tensor) -> Tensor:
        return x + 0.1 * torch.randn(4, generator=self._draw)


class Scale:
    __slots__ = ("rng",)

    def __init__(self) -> None:
        self.rng = np.random.RandomState(1)

    def __call__(self, x: Tensor) -> Tensor:
        return x * float(self.rng.uniform(0.8, 1.2))


class Mirror:
    own = random.Random(5)

    def __call__(self, x: Tensor) -> Tensor:
        return x.flip(0) if self.own.random() < 0.5 else x


class OneOf:
    def __init__(self, first: Any, second: Any) -> None:
        self.choices = {"first": first, "second": second}
        self.seeds = np.random.SeedSequence(9)
        self.rng = np.random.Generator(np.random.Philox(self.seeds))

    def __call__(self, x: Tensor) -> Tensor:
        return self.choices["first" if self.rng.random() < 0.5 else "second"](x)


class Compose:
    def __init__(self, *transforms: Any) -> None:
        self.transforms = transforms

    def __call__(self, x: Tensor) -> Tensor:
        for transform in self.transforms:
            x = transform(x)
        return x


class Nested(Plain):
    """Generators in four places: within transforms, in `__slots__`, and in a class."""

    words = ("trainer.val_check_interval=0.3",)

    def train_dataloader(self) -> Any:
        transform = Compose(Shift(), OneOf(Scale(), Compose(Mirror(), Scale())))
        return self.loader(Transformed(self.train, transform), shuffle=True)


def jittered(x: Tensor) -> Tensor:
    return x + 0.1 * torch.from_numpy(OF_MODULE.normal(size=4)).float()


class OfModule(Plain):
    """The generator is a global name of this module."""

    def train_dataloader(self) -> Any:
        return self.loader(Transformed(self.train, jittered), shuffle=True)


class Split(Plain):
    """Splits the data at random, without a generator, once for each stage."""

    def setup(self, stage: str) -> None:
        super().setup(stage)
        self.train, self.val = random_split(self.train, [70, 20])

    def train_dataloader(self) -> Any:
        return self.loader(Noisy(self.train), shuffle=True)

    def test_dataloader(self) -> Any:
        return self.val_dataloader()


class Rare(Plain):
    """Weighted, none twice."""

    def train_dataloader(self) -> Any:
        weights = torch.arange(1.0, 91.0)
        sampler = WeightedRandomSampler(weights.tolist(), 40, replacement=False)
        return self.loader(Noisy(self.train), sampler=sampler)


class Lazily(Sampler[int]):
    """A generator function that draws from all three global generators."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng()

    def __len__(self) -> int:
        return 64

    def __iter__(self) -> Iterator[int]:
        for _ in range(32):
            yield int(torch.randint(90, ())) if random.random() < 0.5 else np.random.randint(90)
            yield int(self.rng.integers(90))


class LazySampler(Plain):
    def train_dataloader(self) -> Any:
        return self.loader(Noisy(self.train), sampler=Lazily())


class Growing(Sampler[list[int]]):
    """Yields more batches in each epoch."""

    def __init__(self) -> None:
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return 5 + 2 * self.epoch

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(90).tolist()
        return iter([order[5 * i : 5 * i + 5] for i in range(len(self))])


class GrowingBatches(Plain):
    words = ("trainer.reload_dataloaders_every_n_epochs=1",)

    def train_dataloader(self) -> Any:
        return self.loader(Noisy(self.train), batch_sampler=Growing())


class Distributed(Plain):
    """Shares the samples among processes itself."""

    def train_dataloader(self) -> Any:
        there = dist.is_available() and dist.is_initialized()
        size, rank = (dist.get_world_size(), dist.get_rank()) if there else (1, 0)
        sampler = DistributedSampler(self.train, size, rank, shuffle=True, drop_last=True)
        return self.loader(Noisy(self.train), sampler=sampler)


class AtOnce(Noisy):
    """Makes all samples of a batch together."""

    def __getitems__(self, indices: list[int]) -> list[Sample]:
        noise = torch.from_numpy(np.random.randn(len(indices), 4)).float()
        return [(self.rows[i][0] + 0.1 * n, self.rows[i][1]) for i, n in zip(indices, noise)]  # noqa: B905


class Together(Plain):
    def train_dataloader(self) -> Any:
        return self.loader(AtOnce(self.train), shuffle=True)


def noised(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
    x = [torch.tensor(row) * random.uniform(0.9, 1.1) + 0.1 * torch.randn(4) for row in rows["x"]]
    return {"x": x, "y": rows["y"]}


def as_pair(rows: list[dict[str, Any]]) -> Any:
    """Mixes a batch with itself."""
    x, y = torch.stack([row["x"] for row in rows]), torch.tensor([row["y"] for row in rows])
    share = np.random.default_rng(np.random.randint(2**31)).beta(0.4, 0.4)
    return x * share + x[torch.randperm(len(x))] * (1 - share), y


class HuggingFace(Plain):
    """Transforms samples when they are read."""

    def train_dataloader(self) -> Any:
        x, y = self.train.tensors
        made = datasets.Dataset.from_dict({"x": x.tolist(), "y": y.tolist()})
        made.set_transform(noised)
        return self.loader(made, shuffle=True, collate_fn=as_pair)


class Remembers(Dataset[Sample]):
    """Draws numbers in its constructor, and caches samples before their augmentation."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows
        self.offsets = np.random.randn(len(rows), 4)
        self.kept: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Sample:
        if i not in self.kept:
            self.kept[i] = self.rows[i][0] + 0.1 * torch.from_numpy(self.offsets[i]).float()
        return self.kept[i] * random.uniform(0.9, 1.1), self.rows[i][1]


class Prepared(Plain):
    """Writes its data in `prepare_data` and reads them in `setup`."""

    @property
    def file(self) -> Path:
        return Path(tempfile.gettempdir()) / "conventional-rows.json"

    def prepare_data(self) -> None:
        x = torch.randn(112, 4, generator=torch.Generator().manual_seed(1))
        self.file.write_text(json.dumps(x.tolist()))

    def setup(self, stage: str) -> None:
        x = torch.tensor(json.loads(self.file.read_text()))
        y = (x.sum(1) > 0).long()
        self.train, self.val = TensorDataset(x[:90], y[:90]), TensorDataset(x[90:], y[90:])
        self.remembers = Remembers(self.train)

    def train_dataloader(self) -> Any:
        return self.loader(self.remembers, shuffle=True, drop_last=True)


class Batches(Dataset[Any]):
    """Its samples are whole batches."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return 11

    def __getitem__(self, i: int) -> Any:
        rows = [self.rows[int(j)] for j in np.random.randint(0, 90, 8)]
        return default_collate(rows)


class Unbatched(Plain):
    def train_dataloader(self) -> Any:
        return self.loader(Batches(Noisy(self.train)), shuffle=True, batch_size=None)


class Buffered(IterableDataset[Sample]):
    """Each worker of each process shuffles its part through a buffer."""

    def __init__(self, rows: Any) -> None:
        self.rows = Noisy(rows)
        self.rng = random.Random()

    def __iter__(self) -> Iterator[Sample]:
        info = get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        buffer: list[int] = []
        for i in range(first, 90, step):
            buffer.append(i)
            if len(buffer) == 10:
                yield self.rows[buffer.pop(self.rng.randrange(10))]
        self.rng.shuffle(buffer)
        yield from (self.rows[i] for i in buffer)


class ShuffledStream(Plain):
    parted = True

    def train_dataloader(self) -> Any:
        return self.loader(Buffered(self.train))


class Curriculum(Plain):
    """Different data in each epoch; for reload_dataloaders_every_n_epochs=1."""

    words = ("trainer.reload_dataloaders_every_n_epochs=1",)

    def train_dataloader(self) -> Any:
        epoch = self.trainer.current_epoch if self.trainer else 0
        rows = TensorDataset(*(t[: 40 + 16 * epoch] for t in self.train.tensors))
        return self.loader(Noisy(rows), shuffle=True)


# These cannot be exact, and must be reported.


EXACT = (Listed, Nested, OfModule, Split, Rare, LazySampler, GrowingBatches, Distributed, Together,
         HuggingFace, Prepared, Unbatched, ShuffledStream, Curriculum)  # fmt: skip
