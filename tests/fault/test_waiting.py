"""A run that waits for data forever ends at a signal and is marked as interrupted."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from arclight.run_directory import RunDirectory
from tests.conftest import PROJECT


@pytest.mark.slow
@pytest.mark.parametrize("signals", [1, 2])
def test_a_stalled_disk_does_not_block_the_end(tmp_path: Path, signals: int) -> None:
    for name in "ab":
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(60):
            Image.new("RGB", (8, 8), (i, 9, 99 * (name == "a"))).save(
                tmp_path / "images" / name / f"{i:02d}.png"
            )
    run = RunDirectory(tmp_path / "run")
    words = [
        *(f"data.path={tmp_path / 'images'}", "data=image_folder", "data.loader=workers"),
        *("data.num_workers=1", "data.image_size=8", "data.batch_size=8", "preflight=false"),
        *("data.mean=[0.5,0.5,0.5]", "data.std=[0.2,0.2,0.2]", "model.widths=[4,4]"),
        *(f"run_dir={run.path}", "trainer.max_epochs=1000", "trainer.log_every_n_steps=1"),
    ]
    command = [sys.executable, str(PROJECT / "train.py"), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        end = time.monotonic() + 120
        while not (run.metrics_file.is_file() and run.metrics_file.stat().st_size > 50):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.1)
        for file in sorted((tmp_path / "images" / "a").iterdir())[:40]:  # whichever is next
            file.unlink()
            os.mkfifo(file)
        time.sleep(3)
        for _ in range(signals):
            process.send_signal(signal.SIGTERM)
            time.sleep(1.5)
        assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert run.status == "interrupted"
