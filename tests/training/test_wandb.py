"""W&B's service is a separate process; a scheduler's signal to the whole job ends it."""

import os
import signal
import time
from pathlib import Path

import pytest

from arclight.training.loggers import close, wandb_logger

wandb = pytest.importorskip("wandb")


def service() -> int:
    """The number of the service's process."""
    found = [int(p.name) for p in Path("/proc").glob("[0-9]*") if "wandb-core" in comm(p)]
    return next(pid for pid in found if f"PPid:\t{os.getpid()}\n" in status(pid))


def comm(process: Path) -> str:
    try:
        return (process / "comm").read_text()
    except OSError:
        return ""


def status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return "\tZ"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_a_run_continues_without_the_service_and_the_next_run_starts_another(
    tmp_path: Path,
) -> None:
    given = {"run_dir": tmp_path, "name": "a", "say": lambda _: None, "mode": "offline"}
    logger = wandb_logger(run_id="one", **given)  # type: ignore[arg-type]
    logger.log_metrics({"train/loss": 1.0}, step=1)
    ended = service()
    os.kill(ended, signal.SIGTERM)
    while "\tZ" not in status(ended):
        time.sleep(0.05)

    def go_on() -> None:
        for step in (2, 3, 4):
            logger.log_metrics({"train/loss": 1.0}, step)
        close([logger], "interrupted")

    with pytest.warns(UserWarning, match="W&B's service has ended"):
        go_on()
    assert wandb.run is None
    other = wandb_logger(run_id="two", **given)  # type: ignore[arg-type]
    other.log_metrics({"train/loss": 1.0}, step=1)
    assert wandb.run is not None
    assert wandb.run.id == "two"
    close([other], "finished")
    assert wandb.run is None
