"""Iterable datasets have torch's order, and the same batches after resuming."""

from itertools import islice
from typing import Any

import pytest
from torch.utils.data import DataLoader

from arclight.data.exact import ExactStreamLoader
from tests.data.exact.cases import STREAMS, Lines, StatefulLines

pytestmark = pytest.mark.filterwarnings("ignore:.*worker processes in total")


def exact(
    loader: "DataLoader[Any]", epoch: int = 0, batch: int = 0, kept: dict[str, Any] | None = None
) -> ExactStreamLoader:
    messages: list[str] = []
    made = ExactStreamLoader(loader, 7, "train/0", lambda: (epoch, batch), 0, kept, messages.append)
    made.messages = messages  # type: ignore[attr-defined]
    return made


def batches(loader: ExactStreamLoader, count: int | None = None) -> list[Any]:
    try:
        return [batch.tolist() for batch in islice(loader, count)]
    finally:
        loader.close()


def numbers(made: list[Any]) -> list[Any]:
    """The indices of the samples, without the random numbers."""
    flat = [
        sample for batch in made for sample in (batch if isinstance(batch[0], list) else [batch])
    ]
    return [int(sample[0]) for sample in flat]


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize("name", ["plain", "stateful", "drop_last", "no batches", "iterator"])
def test_order_equals_torchs_loader(name: str, workers: int) -> None:
    torchs = [batch.tolist() for batch in STREAMS[name](workers)]
    assert numbers(batches(exact(STREAMS[name](workers)))) == numbers(torchs)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("name", STREAMS)
def test_remaining_batches_are_the_same_after_resuming(name: str, workers: int) -> None:
    whole = batches(exact(STREAMS[name](workers)))
    assert batches(exact(STREAMS[name](workers), 1)) != whole
    for cut in range(1, len(whole)) if workers == 0 else [len(whole) // 2]:
        first = exact(STREAMS[name](workers))
        ahead = min(cut + 1, len(whole))  # Lightning prefetches one batch
        assert batches(first, ahead) == whole[:ahead]
        kept = first.keep(0, cut)
        rest = exact(STREAMS[name](2 - workers), 0, cut, kept)  # it keeps its number of workers
        assert batches(rest) == whole[cut:]
        assert rest.num_workers == workers
        assert rest.keep(0, cut)["read"]["shards"] == kept["read"]["shards"]


def test_stream_with_a_state_is_not_read_again() -> None:
    first = exact(STREAMS["stateful"](0))
    batches(first, 3)
    data = StatefulLines()
    rest = exact(DataLoader(data, 4), 0, 3, first.keep(0, 3))
    batches(rest)
    assert data.read == 22 - 12
    assert rest.messages == []

    first = exact(STREAMS["plain"](0))
    batches(first, 3)
    rest = exact(STREAMS["plain"](0), 0, 3, first.keep(0, 3))
    batches(rest)
    assert "train/0: reading 12 samples again" in rest.messages[0]
    assert "Lines could continue there directly" in rest.messages[0]


def test_without_a_state_batches_are_read_and_dropped() -> None:
    whole = batches(exact(STREAMS["shuffled"](0)))
    assert batches(exact(STREAMS["shuffled"](0), 0, 2)) == whole[2:]


@pytest.mark.parametrize("workers", [0, 2])
def test_cycled_stream(workers: int) -> None:
    def taken(count: int, start: int = 0, kept: Any = None) -> tuple[list[Any], ExactStreamLoader]:
        loader = exact(DataLoader(Lines(6, 3), 2, num_workers=workers), 0, start, kept)
        got: list[Any] = []
        served = iter(loader)
        while len(got) < count:
            try:
                got.append(next(served).tolist())
            except StopIteration:
                served = iter(loader)
        return got, loader

    whole, loader = taken(9)
    loader.close()
    for cut in (1, 3, 4, 6, 7) if workers == 0 else (2, 4):
        first = taken(cut)[1]
        kept = first.keep(0, cut)
        first.close()
        rest, loader = taken(9 - cut, cut, kept)
        loader.close()
        assert rest == whole[cut:], cut
