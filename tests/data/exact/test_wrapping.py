"""Loaders of a data module are wrapped; loaders that cannot be exact are reported."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.utilities import CombinedLoader
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    IterableDataset,
    Sampler,
    SequentialSampler,
    WeightedRandomSampler,
)

from arclight.data.exact import ExactLoader, ExactStreamLoader, make_exact
from arclight.errors import UserError
from tests.data.exact.cases import LOADERS, STREAMS, Data, Net, Noisy, StatefulLines

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")


def train_loader(made: Any, **how: Any) -> tuple[Any, Any, list[str]]:
    messages: list[str] = []
    data = Data(made if callable(made) else lambda: made)
    exact = make_exact(data, 3, messages.append, **how)
    return data.train_dataloader(), exact, messages


def test_loaders_in_any_structure_are_wrapped() -> None:
    def plain() -> "DataLoader[Any]":
        return DataLoader(Noisy(), 4)

    assert isinstance(train_loader(plain)[0], ExactLoader)
    assert isinstance(train_loader(lambda: STREAMS["plain"](0))[0], ExactStreamLoader)
    made = train_loader(lambda: {"a": plain(), "b": [plain(), (plain(),)]})[0]
    assert isinstance(made["a"], ExactLoader)
    assert isinstance(made["b"][1][0], ExactLoader)
    combined = CombinedLoader([plain(), plain()], "min_size")
    made, exact, _ = train_loader(lambda: combined)
    assert made is combined
    assert [type(loader) for loader in made.flattened] == [ExactLoader] * 2
    assert set(exact.loaders) == {"train/0", "train/1"}


def test_attributes_that_lightning_and_users_read() -> None:
    loader, exact, _ = train_loader(LOADERS["shuffled"](0))
    assert not isinstance(loader, DataLoader)
    assert (loader.batch_size, len(loader.dataset), loader.num_workers) == (4, 22, 0)
    assert loader.collate_fn is not None
    assert loader.state_dict() == {}
    assert not is_overridden("test_dataloader", exact.data)
    assert is_overridden("train_dataloader", exact.data)
    assert exact.inexact_because is None
    assert make_exact(exact.data, 3) is exact
    with pytest.raises(AttributeError):
        train_loader(STREAMS["plain"](0))[0].sampler  # noqa: B018


class Own:
    def __iter__(self) -> Iterator[int]:
        return iter(range(3))

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


class Doubling(DataLoader[Any]):
    def __iter__(self) -> Any:
        return (batch * 2 for batch in super().__iter__())


def test_other_loaders_are_unchanged_and_reported() -> None:
    own = Own()
    loader, exact, messages = train_loader(own)
    assert loader is own
    assert (exact.inexact_because, messages) == (None, [])
    loader, exact, messages = train_loader([torch.zeros(2)])
    assert "Tensor is not a DataLoader" in exact.inexact_because
    assert "cannot be resumed exactly" in messages[0]
    loader, exact, messages = train_loader(Doubling(Noisy(), 4))
    assert isinstance(loader, Doubling)
    assert "Doubling overrides __iter__" in exact.inexact_because


class Clock(Noisy):
    def __getitem__(self, i: int) -> Tensor:
        return torch.tensor(time.perf_counter_ns())


class Onwards(IterableDataset[int]):
    """Continues from its last position, but has no state."""

    def __init__(self) -> None:
        self.i = 0

    def __iter__(self) -> Iterator[int]:
        while True:
            self.i += 1
            yield self.i


class Forgets(StatefulLines):
    """Has an incomplete state."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict({"next": 0})


class KeepsDrawn(Noisy):
    """Draws once for each sample, and caches the result."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[int, Tensor] = {}

    def __getitem__(self, i: int) -> Tensor:
        return self.kept.setdefault(i, self.kept.get(i) or super().__getitem__(i)[1])


class Fades(Noisy):
    """Changes after each sample; each worker starts with the original."""

    read = 0

    def __getitem__(self, i: int) -> Tensor:
        self.read += 1
        return torch.tensor(i / self.read)


class Counts(Sampler[int]):
    """Counts the epochs itself."""

    passes = 0

    def __len__(self) -> int:
        return 22

    def __iter__(self) -> Iterator[int]:
        self.passes += 1
        return iter(range(self.passes, self.passes + 22))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DataLoader(Clock(), 2), "batches of Clock differ when they are read twice"),
        (lambda: DataLoader(Onwards(), 2), "batches of Onwards differ when"),
        (lambda: DataLoader(Forgets(), 2), "batches of Forgets differ when"),
        (lambda: DataLoader(Fades(), 2, num_workers=2), "batches of Fades differ when"),
        (lambda: DataLoader(KeepsDrawn(), 2), "KeepsDrawn draws random numbers only when it"),
        (lambda: DataLoader(Noisy(), 2, sampler=Counts()), "Counts does not repeat the order"),
    ],
)
def test_data_that_do_not_repeat_are_found(
    make: Callable[[], "DataLoader[Any]"], message: str
) -> None:
    _, exact, sentences = train_loader(make)
    assert message in exact.inexact_because
    assert len(sentences) == 1
    assert train_loader(make, check=0)[1].inexact_because is None


def test_changed_order_is_found_after_resuming() -> None:
    """For example, an order that depends on the loss."""

    def kept(*order: int) -> list[int]:
        loader = ExactLoader(DataLoader(Noisy(4), 1, sampler=list(order)), 3, "train/0", at)
        list(loader)
        return loader.keep(0, 2)

    def at() -> tuple[int, int]:
        return 0, step

    for orders, same in (((0, 1, 2, 3), True), ((0, 1, 3, 2), True), ((0, 2, 1, 3), False)):
        step = 0
        before, step = kept(*orders), 2
        loader = DataLoader(Noisy(4), 1, sampler=[0, 1, 2, 3])
        resumed = ExactLoader(loader, 3, "train/0", at, kept=before)
        list(resumed)
        assert (resumed.inexact_because is None) == same
        assert same or "list gave another order before" in str(resumed.inexact_because)


@pytest.mark.parametrize("name", [*LOADERS, *STREAMS])
def test_data_that_repeat_are_not_reported(name: str) -> None:
    make = LOADERS.get(name) or STREAMS[name]
    loader, exact, _ = train_loader(lambda: make(0))
    assert exact.inexact_because is None
    assert [b.tolist() for b in loader] == [
        b.tolist() for b in train_loader(lambda: make(0), check=0)[0]
    ]


def test_sampler_that_training_changes_is_found() -> None:
    sampler = WeightedRandomSampler([1.0] * 22, 22)
    _, exact, _ = train_loader(DataLoader(Noisy(), 4, sampler=sampler))
    assert list(exact.loaders["train/0"])
    exact.data.state_dict()
    assert exact.inexact_because is None
    sampler.weights[3] = 9.0
    exact.data.state_dict()
    assert "WeightedRandomSampler was changed" in exact.inexact_because


def trainer(**how: Any) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"max_epochs": 2, **how},
    )


def test_overfit_batches_repeats_batches_in_order() -> None:
    data, net = Data(lambda: LOADERS["shuffled"](0)), Net()
    make_exact(data, 3)
    trainer(overfit_batches=2).fit(net, datamodule=data)
    indices = [[sample[0] for sample in parts[0]] for _, parts in net.seen]
    assert indices == [[0, 1, 2, 3], [4, 5, 6, 7]] * 2


def test_second_fit_with_the_same_data_starts_at_the_beginning() -> None:
    data, first, second = Data(lambda: LOADERS["shuffled"](0)), Net(), Net()
    exact = make_exact(data, 3)
    for net in (first, second):
        trainer(limit_val_batches=0).fit(net, datamodule=data)
    assert first.seen == second.seen
    assert isinstance(exact.loaders["train/0"].sampler, torch.utils.data.RandomSampler)
    assert not isinstance(exact.loaders["train/0"].sampler, SequentialSampler)


def test_stream_needs_the_same_number_of_processes() -> None:
    messages: list[str] = []
    data = Data(lambda: STREAMS["stateful"](0))
    exact = make_exact(data, 3, messages.append)
    trainer(limit_val_batches=0).fit(Net(), datamodule=data)
    state = data.state_dict()
    assert len(state["arclight.exact"]["streams"]) == 1
    state["arclight.exact"]["streams"] *= 2
    data.load_state_dict(state)
    with pytest.raises(UserError, match="began on 2 processes"):
        data.train_dataloader()
    assert (exact.inexact_because, messages) == (None, [])


class Remembering(Data):
    """Has its own state."""

    epochs = 0

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epochs = state_dict["epochs"]
        assert set(state_dict) == {"epochs"}


def test_the_modules_own_state_is_saved_too() -> None:
    data, again = (Remembering(lambda: LOADERS["shuffled"](0)) for _ in range(2))
    make_exact(data, 3), make_exact(again, 3)
    data.epochs = 5
    again.load_state_dict(data.state_dict())
    assert again.epochs == 5
    assert np.isscalar(again.epochs)
