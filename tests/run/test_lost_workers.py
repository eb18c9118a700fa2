"""A data worker that ends early is reported, and the run does not hang."""

import os
import re
import signal
from typing import Any

import pytest
from torch.utils.data import DataLoader, Dataset

from arclight.data.exact.loader import ExactLoader
from arclight.run.failures import of_workers


class Unsent:
    """A sample for which there is no room in the memory that processes share."""

    def __reduce__(self) -> Any:
        raise OSError(28, "No space left on device")


class Samples(Dataset[Any]):
    def __init__(self, then: str) -> None:
        self.then = then

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        if self.then == "unsent":
            return Unsent()
        if self.then == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(1)


@pytest.mark.parametrize(
    ("then", "sentence"),
    [
        ("unsent", r"cannot send its batches: /dev/shm is full.*--shm-size"),
        ("killed", r"was killed \(Killed\).*data\.num_workers=0"),
        ("gone", r"ended before its batch was read.*data\.num_workers=0"),
    ],
)
def test_a_lost_worker_is_reported(then: str, sentence: str) -> None:
    loader: Any = DataLoader(Samples(then), 2, num_workers=1, collate_fn=list)
    exact = ExactLoader(loader, seed=0)
    with pytest.raises(RuntimeError, match="DataLoader worker") as raised:
        list(exact)
    exact.close()
    said = of_workers(raised.value)
    assert said is not None
    assert re.search(sentence, said)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(
            "Caught RuntimeError in DataLoader worker process 0.\nOriginal Traceback: unable to "
            "allocate shared memory(shm) for file </torch_1_2_0>: No space left on device (28)"
        ),
        RuntimeError("DataLoader worker (pid 3) is killed by signal: Bus error. It is possible"),
    ],
)
def test_full_shared_memory_is_reported(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arclight.run.failures._is_full", lambda place: True)
    assert "/dev/shm is full" in str(of_workers(error))


def test_other_errors_are_not_reported_as_lost_workers() -> None:
    assert of_workers(RuntimeError("CUDA error")) is None
