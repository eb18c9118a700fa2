"""What becomes of a process whose launcher has died, or that a signal does not get through to."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import pytest

from arclight.processes import watch
from arclight.processes.watch import DEAF, WATCHER
from arclight.run import execute
from arclight.run_directory import create

# While its main thread is in native code, the signal goes to another: Python is told, and waits.
WAITING = """
import ctypes, signal, sys
from pathlib import Path
from threading import Timer
from arclight.processes.watch import die_with_watcher
from arclight.signals import exit_on_signals
exit_on_signals()
{before}
die_with_watcher()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
Timer(0.5, Path(sys.argv[1]).touch).start()  # from within the wait
ctypes.CDLL(None).usleep({seconds} * 1_000_000)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
print("done")
"""
KEEPS = "signal.signal(signal.SIGTERM, lambda *_: None)"  # as while it trains


def deaf(folder: Path, seconds: int, before: str = "") -> tuple[int, str, float]:
    """Sends SIGTERM to a process in native code: its exit code, what it said, and the seconds."""
    ready = folder / "ready"
    code = WAITING.format(before=before, seconds=seconds)
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(ready)],
        env={**os.environ, WATCHER: str(os.getpid())},
        stdout=subprocess.PIPE,
        text=True,
    )
    while not ready.exists() and process.poll() is None:
        time.sleep(0.02)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[0]
    return process.returncode, said, time.monotonic() - began


def test_a_start_that_hears_no_signal_is_ended(tmp_path: Path) -> None:
    code, _, seconds = deaf(tmp_path, 50)
    assert code == -signal.SIGKILL
    assert DEAF <= seconds < 20


@pytest.mark.parametrize(("before", "expected"), [("", 128 + signal.SIGTERM), (KEEPS, 0)])
def test_a_start_that_hears_it_late_and_a_training_that_saves_are_left_alone(
    tmp_path: Path, before: str, expected: int
) -> None:
    seconds = 1 if expected else round(DEAF) + 2
    code, said, _ = deaf(tmp_path, seconds, before)
    assert code == expected
    assert said.strip() == ("" if expected else "done")


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("fault", [RuntimeError("connection closed by peer"), None])
def test_a_process_whose_launcher_has_died_settles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception | None
) -> None:
    """Another process of the run may have been gone a moment earlier, which looks like a fault."""
    run = create(None, tmp_path, "cnn-digits", {"seed": 0}, [], {})

    def fit(_: object) -> dict[str, object]:
        monkeypatch.setattr(watch, "_watcher", os.getpid())  # never its own parent
        if fault:
            raise fault
        return {"steps": 1}

    def killed() -> NoReturn:
        raise GeneratorExit

    monkeypatch.setattr("arclight.run.fit.fit", fit)
    monkeypatch.setattr(watch, "_die", killed)
    before = run.summary
    with pytest.raises(GeneratorExit):
        execute._work(run)
    assert run.summary == before
    assert "Traceback" not in run.log_file.read_text()
