"""The overhead of a `DataLoader` that resumes exactly, against the original one."""

import time
from typing import Any

from benchmarks.options import Options
from benchmarks.samples import Row, one_thread

BATCH = 64


def wrapped(options: Options) -> list[Row]:
    """One epoch of shuffled samples in this process, so workers do not hide the overhead.

    The cheap sample is a row of a tensor and a random number; the other one also draws and sorts
    numbers for some 400 microseconds, like a light transform of an image.
    """
    cheap = _rounds(options, 0, 200)
    costly = _rounds(options, 12_000, 20)
    return [
        Row("a cheap sample, wrapped / bare", "us", *cheap, "difference", 12.0),
        Row("a costly sample, wrapped / bare", "us", *costly, "ratio", 1.05),
    ]


def _rounds(options: Options, numbers: int, batches: int) -> tuple[list[float], list[float]]:
    """CPU microseconds per sample in each round: wrapped, and bare."""
    from torch.utils.data import DataLoader

    from arclight.data.exact import ExactLoader

    count = (options.steps or batches) * BATCH
    bare = DataLoader(_made(count, numbers), BATCH, shuffle=True)
    exact = ExactLoader(bare, seed=0)
    taken: tuple[list[float], list[float]] = ([], [])
    with one_thread():
        for _ in range(options.runs + 1):
            for loader, samples in zip((exact, bare), taken, strict=True):
                began = time.process_time()
                for _batch in loader:
                    pass
                samples.append(1e6 * (time.process_time() - began) / count)
    return taken[0][1:], taken[1][1:]


def _made(count: int, numbers: int) -> Any:
    import numpy as np
    import torch
    from torch.utils.data import Dataset

    class Samples(Dataset[Any]):
        rows = torch.rand(count, 16)

        def __len__(self) -> int:
            return count

        def __getitem__(self, i: int) -> Any:
            if numbers:
                np.sort(np.random.rand(numbers))
            return self.rows[i] + np.random.rand()

    return Samples()
