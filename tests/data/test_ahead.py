"""Batches that a thread prefetches equal those of the loader.

Prefetching is used for CUDA devices; these tests call it directly.
"""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from arclight.data.ahead import AheadLoader, on_device
from arclight.data.module import DataModule
from arclight.data.order import EvalBatches, TrainBatches
from arclight.data.rows import RowLoader
from arclight.errors import UserError
from arclight_zoo.text.labelled import LabelledText
from arclight_zoo.text.masked import MaskedText
from arclight_zoo.text.pairs import TextPairs
from arclight_zoo.text.text_shards import TextShards
from tests.zoo.text.test_labelled import rows, written
from tests.zoo.text.test_shards import jsonl

CPU = torch.device("cpu")


def threads() -> int:
    """The number of threads in thread pools."""
    return sum(thread.name.startswith("ThreadPoolExecutor") for thread in threading.enumerate())


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    before = threads()
    yield
    assert threads() == before


def same(one: Any, other: Any) -> bool:
    pairs = zip(one, other, strict=True)
    return all(torch.equal(a, b) for x, y in pairs for a, b in zip(x, y, strict=True))


def labelled(folder: Path) -> DataModule:
    return LabelledText(str(written(folder / "rows.jsonl", rows())), vocab_size=300, batch_size=8)


def masked(folder: Path) -> DataModule:
    (folder / "text.txt").write_text(" ".join(map(str, range(1500))))
    return MaskedText(str(folder / "text.txt"), vocab_size=300, context=16, batch_size=8)


def pairs(_: Path) -> DataModule:
    return TextPairs("python:dates", vocab_size=300, batch_size=8, limit=50)


def shards(folder: Path) -> DataModule:
    given = {"vocab_size": 300, "context": 16, "batch_size": 8, "block_mb": 0.004}
    return TextShards(str(jsonl(folder / "shards")), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [labelled, masked, pairs, shards])
def test_batches_are_equal_and_contiguous(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], DataModule]
) -> None:
    monkeypatch.setenv("ARCLIGHT_CACHE", str(tmp_path / "cache"))
    data = make(tmp_path)
    data.setup()
    for loader in (data.train_dataloader(), data.val_dataloader()):
        in_time, early = list(loader), list(AheadLoader(loader, CPU))
        assert len(in_time) == len(loader) == len(AheadLoader(loader, CPU)) > 1
        assert same(in_time, early)
        assert all(part.is_contiguous() for batch in early for part in batch)


def numbered(indices: Tensor, epoch: int | None) -> tuple[Tensor, Tensor]:
    return indices, torch.tensor(-1 if epoch is None else epoch)


def test_resuming_continues_with_the_next_batch() -> None:
    place = 0
    batches = TrainBatches(50, 8, seed=0, position=lambda: place)
    loader = AheadLoader(RowLoader(batches, numbered), CPU)
    whole = []
    for _ in range(3):
        for batch in loader:
            whole.append(batch)
            place += 1  # the trainer counts batches after their step
    assert [int(epoch) for _, epoch in whole] == [0] * 6 + [1] * 6 + [2] * 6
    for place in range(18):
        assert same(list(loader), whole[place : 6 * (place // 6 + 1)])


def test_thread_makes_a_limited_number_of_batches_ahead() -> None:
    made: list[tuple[int, int]] = []

    def noted(indices: Tensor, epoch: int | None) -> tuple[Tensor, ...]:
        made.append((int(indices[0]), threading.get_ident()))
        return (indices,)

    loader = AheadLoader(RowLoader(EvalBatches(20, 1), noted), CPU)
    iterator = iter(loader)
    assert not made  # a resumed run sets its position only before the first batch
    for i in range(20):
        assert int(next(iterator)[0]) == i
        assert len(made) <= i + 3
    assert next(iterator, None) is None
    assert [number for number, _ in made] == list(range(20))
    assert {thread for _, thread in made}.isdisjoint({threading.get_ident()})


def test_error_in_a_batch_is_raised_in_order() -> None:
    def faulty(indices: Tensor, epoch: int | None) -> tuple[Tensor, ...]:
        if indices[0] == 2:
            raise UserError("Row 2 cannot be read.")
        return (indices,)

    iterator = iter(AheadLoader(RowLoader(EvalBatches(9, 1), faulty), CPU))
    assert [int(next(iterator)[0]) for _ in range(2)] == [0, 1]
    with pytest.raises(UserError, match=r"^Row 2 cannot be read\.$"):
        next(iterator)


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_abandoned_iterator_stops_the_thread(taken: int) -> None:
    ended = []

    class Ending(RowLoader):
        def __iter__(self) -> Iterator[Any]:
            try:
                yield from super().__iter__()
            finally:
                ended.append(True)

    before = threads()
    iterator = iter(AheadLoader(Ending(EvalBatches(9, 1), numbered), CPU))
    for _ in range(taken):
        next(iterator)
    assert threads() == before + (taken > 0)
    del iterator
    assert threads() == before
    assert ended == [True] * (taken > 0)


def test_only_cuda_devices_prefetch() -> None:
    loader = RowLoader(EvalBatches(9, 1), numbered)
    assert on_device(loader, CPU) is loader
    assert isinstance(on_device(loader, torch.device("cuda", 1)), AheadLoader)
    assert on_device([], torch.device("cuda", 1)) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu() -> None:
    device = torch.device("cuda", 0)
    loader = RowLoader(TrainBatches(4096, 64, seed=0), numbered)
    there = list(on_device(loader, device))
    assert all(part.device == device for batch in there for part in batch)
    assert same([[part.cpu() for part in batch] for batch in there], list(loader))
