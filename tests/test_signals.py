"""A signal ends a process that has nothing to save, whatever the process is doing."""

import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest

from arclight.signals import AGAIN, SAME_SIGNAL, SIGNALS, exit_on_signals, hold_signals
from arclight.training.checkpoints import Checkpoints
from arclight.training.interrupts import Interrupts


@pytest.fixture(autouse=True)
def ours(handlers: None) -> None:
    exit_on_signals()


@pytest.mark.parametrize("signum", SIGNALS)
def test_exit_code_is_the_shells(signum: signal.Signals) -> None:
    with pytest.raises(SystemExit) as end:
        signal.raise_signal(signum)
    assert end.value.code == 128 + signum


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_exit_that_a_callback_swallows_is_raised_again() -> None:
    class Thing:
        pass

    things = [Thing()]
    reference = weakref.ref(things[0], lambda _: signal.raise_signal(signal.SIGTERM))

    def work() -> None:
        things.clear()
        time.sleep(10)

    with pytest.raises(SystemExit) as end:
        work()
    assert reference() is None
    assert end.value.code == 128 + signal.SIGTERM


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_training_takes_over_a_swallowed_exit() -> None:
    """Otherwise it would end the run half a second later, within a step that is not saved."""

    class Thing:
        pass

    things = [Thing()]
    reference = weakref.ref(things[0], lambda _: signal.raise_signal(signal.SIGTERM))
    things.clear()
    assert reference() is None
    interrupts = Interrupts(Checkpoints(Path("nowhere"), "run"))
    interrupts.on_train_start(SimpleNamespace(world_size=1), None)  # type: ignore[arg-type]
    time.sleep(2 * AGAIN)
    assert interrupts.signum == signal.SIGTERM


def test_cleanup_is_not_interrupted() -> None:
    cleaned = []

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            time.sleep(1.2)
            cleaned.append(True)

    with pytest.raises(SystemExit):
        work()
    assert cleaned


def test_held_signals_are_delivered_later() -> None:
    hold_signals()
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end:
        exit_on_signals()
    assert end.value.code == 128 + signal.SIGTERM


BLOCKED = """
import ctypes, sys
from arclight.signals import exit_on_signals, before_forced_end
exit_on_signals()
lock = ctypes.create_string_buffer(64)
library = ctypes.CDLL(None)
library.pthread_mutex_lock(lock)
with before_forced_end(lambda: print("last words", flush=True)):
    print("waits", flush=True)
    library.pthread_mutex_lock(lock)  # blocks in C, where Python runs no handler
"""


def test_second_signal_ends_a_process_that_is_blocked_in_c() -> None:
    command = [sys.executable, "-c", BLOCKED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "waits\n"
        time.sleep(0.2)
        child.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(1.5 * SAME_SIGNAL)
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 128 + signal.SIGTERM
        assert child.stdout.read() == "last words\n"
