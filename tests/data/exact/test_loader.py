"""`ExactLoader` without a trainer: order, seeds, resuming, ranks."""

import random
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler, Subset, get_worker_info

from arclight.data.exact import ExactLoader
from tests.data.exact.cases import LOADERS, Buckets, Noisy

pytestmark = pytest.mark.filterwarnings("ignore:.*worker processes in total")


def exact(
    loader: "DataLoader[Any]", epoch: int = 0, batch: int = 0, rank: int = 0, world: int = 1
) -> ExactLoader:
    return ExactLoader(loader, 7, "train/0", lambda: (epoch, batch), rank, world)


def batches(loader: ExactLoader) -> list[Any]:
    try:
        return [batch.tolist() for batch in loader]
    finally:
        loader.close()


@pytest.mark.parametrize("name", LOADERS)
def test_remaining_batches_are_the_same_after_resuming_and_with_workers(name: str) -> None:
    whole = batches(exact(LOADERS[name](0)))
    assert len(whole) == len(exact(LOADERS[name](0))) == len(LOADERS[name](0))
    for cut in range(len(whole) + 1):
        assert batches(exact(LOADERS[name](0), batch=cut)) == whole[cut:]
    assert batches(exact(LOADERS[name](2), batch=2)) == whole[2:]
    assert batches(exact(LOADERS[name](0), epoch=1)) != whole


@pytest.mark.parametrize("name", LOADERS)
def test_global_generators_are_not_changed(name: str) -> None:
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    expected = [(float(torch.rand(())), random.random(), np.random.rand()) for _ in range(4)]
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    loader = exact(LOADERS[name](0))
    drawn = [(float(torch.rand(())), random.random(), np.random.rand()) for _ in islice(loader, 4)]
    assert drawn == expected[: len(drawn)]


def test_samples_differ_within_an_epoch_and_between_epochs() -> None:
    seen = set()
    for epoch in range(3):
        for batch in exact(LOADERS["weighted"](0), epoch):
            seen.update((round(t, 6), round(r, 6), round(n, 6)) for _, t, r, n in batch.tolist())
    assert len(seen) == 66


def test_different_loaders_and_seeds_give_different_orders() -> None:
    made = [
        batches(ExactLoader(LOADERS["shuffled"](0), seed, name, lambda: (0, 0)))
        for seed, name in ((1, "train/0"), (1, "train/1"), (2, "train/0"))
    ]
    assert made[0] != made[1] != made[2] != made[0]


@pytest.mark.parametrize("workers", [0, 2])
def test_persistent_loader_starts_each_epoch_at_its_position(workers: int) -> None:
    position = [0, 0]
    name = "persistent"
    loader = ExactLoader(LOADERS[name](workers), 7, "train/0", lambda: (position[0], position[1]))
    for epoch in range(3):
        position[:] = [epoch, epoch]
        got = [batch.tolist() for batch in islice(loader, 2)]
        assert got == batches(exact(LOADERS[name](0), epoch, epoch))[:2]
    loader.close()


def test_evaluation_is_the_same_each_time() -> None:
    loader = ExactLoader(LOADERS["shuffled"](0), 7, "val/0")
    assert batches(loader) == batches(loader)


@pytest.mark.parametrize("n", [32, 35, 33, 22])
@pytest.mark.parametrize("drop_last", [False, True])
def test_equal_products_give_equal_global_batches(n: int, drop_last: bool) -> None:
    def make(size: int) -> "DataLoader[Any]":
        return DataLoader(Noisy(n), size, shuffle=True, drop_last=drop_last)

    one = batches(exact(make(8)))
    two = [exact(make(4), rank=rank, world=2) for rank in (0, 1)]
    parts = [batches(loader) for loader in two]
    assert [len(part) for part in parts] == [len(loader) for loader in two]
    together = [a + b for a, b in zip(*parts, strict=True)]
    assert together == one[: len(together)]
    left = [sample for batch in one[len(together) :] for sample in batch]
    assert len(left) < 2
    cut = [batches(exact(make(4), batch=2, rank=rank, world=2)) for rank in (0, 1)]
    assert cut == [part[2:] for part in parts]


@pytest.mark.parametrize("size", [1, 3, None])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_evaluation_counts_each_sample_once(size: int | None, world: int) -> None:
    ranks = [
        ExactLoader(DataLoader(Noisy(), size), 7, "val/0", None, rank, world)
        for rank in range(world)
    ]
    parts = [batches(loader) for loader in ranks]
    assert {len(part) for part in parts} == {len(loader) for loader in ranks}
    samples = [s for part in parts for b in part for s in ([b] if size is None else b)]
    assert sorted(sample[0] for sample in samples) == [float(i) for i in range(22)]


def test_batches_of_a_custom_batch_sampler_are_not_split() -> None:
    def make() -> "DataLoader[Any]":
        return DataLoader(Noisy(), batch_sampler=Buckets())

    one = batches(exact(make()))
    parts = [batches(exact(make(), rank=rank, world=4)) for rank in range(4)]
    assert [part[0] for part in parts] == one[:4]
    assert {len(part) for part in parts} == {1}
    parts = [batches(ExactLoader(make(), 7, "val/0", None, rank, 2)) for rank in range(2)]
    assert sorted(s[0] for p in parts for b in p for s in b) == [float(i) for i in range(13)]


def test_distributed_sampler_is_not_split_again() -> None:
    def make(rank: int) -> "DataLoader[Any]":
        sampler: DistributedSampler[Any] = DistributedSampler(Noisy(), 2, rank)
        return DataLoader(Noisy(), 4, sampler=sampler)

    parts = [batches(exact(make(rank), epoch=1, rank=rank, world=2)) for rank in (0, 1)]
    seen = [[sample[0] for batch in part for sample in batch] for part in parts]
    assert sorted(seen[0] + seen[1]) == [float(i) for i in range(22)]
    plain: DistributedSampler[Any] = DistributedSampler(Noisy(), 2, 0)
    plain.set_epoch(1)
    assert seen[0] == [float(i) for i in plain]


def test_subset_is_seeded_for_each_sample() -> None:
    subset = Subset(Noisy(), range(10, 22))
    one = batches(exact(DataLoader(subset, 4)))
    two = batches(exact(DataLoader(subset, 2)))
    assert [s for b in one for s in b] == [s for b in two for s in b]


def _note_the_worker(worker: int) -> None:
    info = get_worker_info()
    assert info is not None
    dataset: Any = info.dataset
    dataset.n = 100 + worker  # the user's dataset, not its wrapper


class SizeAsSample(Noisy):
    def __getitem__(self, i: int) -> torch.Tensor:
        return torch.tensor(float(self.n))


def test_the_users_worker_init_fn_runs() -> None:
    loader = DataLoader(SizeAsSample(4), 2, num_workers=2, worker_init_fn=_note_the_worker)
    assert batches(exact(loader)) == [[100.0, 100.0], [101.0, 101.0]]


def test_cycled_loader_has_a_new_order_in_each_cycle() -> None:
    def taken(count: int, start: int = 0) -> list[Any]:
        loader = exact(DataLoader(Noisy(6), 2, shuffle=True), batch=start)
        got: list[Any] = []
        served = iter(loader)
        while len(got) < count:
            try:
                got.append(next(served).tolist())
            except StopIteration:  # CombinedLoader does the same
                served = iter(loader)
        return got

    whole = taken(10)
    assert whole[:3] != whole[3:6] != whole[6:9]
    for cut in range(10):
        assert taken(10 - cut, cut) == whole[cut:]
