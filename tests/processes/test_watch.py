"""A process is killed if its launcher has died, or if a signal has no effect on it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import pytest

from arclight.processes import watch
from arclight.processes.watch import GRACE, WATCHER
from arclight.run import execute
from arclight.run_directory import create

# While the main thread is in native code, another thread gets the signal, and its handler waits.
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


def send_signal(folder: Path, seconds: int, before: str = "") -> tuple[int, str, float]:
    """Sends SIGTERM to a process in native code; returns its exit code, output and seconds."""
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
    output = process.communicate(timeout=60)[0]
    return process.returncode, output, time.monotonic() - began


def test_starting_process_that_ignores_a_signal_is_killed(tmp_path: Path) -> None:
    code, _, seconds = send_signal(tmp_path, 50)
    assert code == -signal.SIGKILL
    assert GRACE <= seconds < 20


@pytest.mark.parametrize(("before", "expected"), [("", 128 + signal.SIGTERM), (KEEPS, 0)])
def test_late_reaction_and_training_are_not_killed(
    tmp_path: Path, before: str, expected: int
) -> None:
    seconds = 1 if expected else round(GRACE) + 2
    code, output, _ = send_signal(tmp_path, seconds, before)
    assert code == expected
    assert output.strip() == ("" if expected else "done")


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("error", [RuntimeError("connection closed by peer"), None])
def test_orphaned_process_does_not_change_the_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    """Another process may have died a moment earlier, which looks like an error of this one."""
    run = create(None, tmp_path, "cnn-digits", {"seed": 0}, [], {})

    def fit(_: object) -> dict[str, object]:
        monkeypatch.setattr(watch, "_watcher", os.getpid())  # never its own parent
        if error:
            raise error
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
