"""What whole batches gain: python -m pytest -m slow tests/data/test_throughput.py -s."""

import time
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from arclight.data.augment import Augment, Finish
from arclight.data.decode import Normalise
from arclight.data.memory import MemoryLoader
from arclight.data.order import TrainBatches

MEAN, STD = [0.4914, 0.4821, 0.4464], [0.2470, 0.2435, 0.2616]
N, BATCH = 10_000, 128


class OneByOne(Dataset[Any]):
    """The usual pipeline, without its decoding: one image of a tensor at a time."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        self.images, self.labels = images, labels
        self.transform = v2.Compose(
            [
                v2.RandomCrop(32, padding=4),
                v2.RandomHorizontalFlip(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        return self.transform(self.images[index]), self.labels[index]


def images_per_second(loader: Iterable[Any]) -> float:
    start = time.perf_counter()
    count = sum(len(y) for _, y in loader)
    return count / (time.perf_counter() - start)


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_whole_batches_are_ten_times_faster(threads: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (N, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, (N,), generator=generator)
    finish = Finish(Normalise(MEAN, STD), 10, Augment(crop=4, flip=True))
    ours = MemoryLoader(images, labels, TrainBatches(N, BATCH, seed=0), finish)
    theirs = DataLoader(OneByOne(images, labels), BATCH, shuffle=True, drop_last=True)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        fast, slow = (max(images_per_second(x) for _ in range(3)) for x in (ours, theirs))
    finally:
        torch.set_num_threads(before)
    print(f"\n{threads} threads: {fast:,.0f} against {slow:,.0f} images/s: {fast / slow:.1f} times")
    assert fast > 10 * slow
