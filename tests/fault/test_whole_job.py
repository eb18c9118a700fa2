"""A scheduler signals every process of a job at once, including data workers."""

import os
import signal
import time
from pathlib import Path

import pytest

from arclight.run_directory import RunDirectory
from tests.fault.harness import SMALL, TWO_PROCESSES, finished, saves, train
from tests.fault.signals import after_a_signal, too_old

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc"),
]

ENDED = 60.0  # seconds that a busy machine may take to start, save and end so many processes


@pytest.mark.parametrize("processes", [(), TWO_PROCESSES], ids=["one", "two"])
def test_a_signal_to_the_whole_job_is_not_a_failure(
    tmp_path: Path, processes: tuple[str, ...]
) -> None:
    run = RunDirectory(tmp_path / "run")
    words = (*SMALL, *processes, "data.loader=workers", "data.num_workers=2")
    words = (*words, "trainer.max_epochs=20", "callbacks.checkpoints.every_n_steps=5")
    with train(run, *words) as command:
        while command.running and saves(run) is None:
            time.sleep(0.02)
        for pid in command.pids():
            os.kill(pid, signal.SIGTERM)
        assert not after_a_signal(command, signal.SIGTERM, ENDED), command.output
    assert run.status == "interrupted"
    assert not too_old(run)
    with train(run, *words) as command:  # after the kill, the workers end by themselves
        before = saves(run)
        while command.running and saves(run) == before:
            time.sleep(0.02)
        command.kill([command.process.pid])
        assert command.gone_within(ENDED) is not None
    assert not finished(run, *words)
