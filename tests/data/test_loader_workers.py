"""The worker processes of a loader ignore signals to the job, and stop when the loader closes."""

import multiprocessing
import os
import signal
import time
from typing import Any

import pytest
from torch.utils.data import DataLoader, Dataset

from arclight.data.loader_workers import OwnsWorkers
from arclight.signals import SIGNALS


class Numbers(Dataset[int]):
    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> int:
        return index


class Stuck(Numbers):
    """A dataset on a file server that does not answer."""

    def __getitem__(self, index: int) -> int:
        time.sleep(3600)
        raise AssertionError


class Loader(OwnsWorkers):
    def __init__(self, numbers: Numbers, num_workers: int) -> None:
        how: Any = {"num_workers": num_workers, "persistent_workers": True}
        self.inner = DataLoader(numbers, 2, **how)


def test_workers_ignore_signals_to_the_job() -> None:
    loader = Loader(Numbers(), 2)
    batches = loader.begin()
    next(batches)
    for worker in multiprocessing.active_children():
        for number in SIGNALS:
            assert worker.pid
            os.kill(worker.pid, number)
    assert sum(1 for _ in batches) == 19
    assert len(multiprocessing.active_children()) == 2
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(
        SIGNALS
    )  # the run itself gets them
    loader.close()
    assert not multiprocessing.active_children()


def test_worker_that_does_not_stop_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.5)
    loader = Loader(Stuck(), 1)
    loader.begin()
    loader.close()
    assert not multiprocessing.active_children()
