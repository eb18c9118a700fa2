"""A signal where there is nothing to save ends the process, whatever it is in the middle of."""

import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest

from arclight.signals import AGAIN, IMPATIENT, SIGNALS, exit_on_signals, hold_signals
from arclight.training.checkpoints import Checkpoints
from arclight.training.interrupts import Interrupts


@pytest.fixture(autouse=True)
def ours(handlers: None) -> None:
    exit_on_signals()


@pytest.mark.parametrize("signum", SIGNALS)
def test_the_exit_code_is_the_shells(signum: signal.Signals) -> None:
    with pytest.raises(SystemExit) as end:
        signal.raise_signal(signum)
    assert end.value.code == 128 + signum


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_exit_that_a_callback_swallows_is_tried_again() -> None:
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
def test_a_swallowed_exit_is_the_trainings_once_that_has_begun() -> None:
    """Half a second later it would end the run in a step, of which nothing is saved."""

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


def test_the_way_out_is_not_disturbed() -> None:
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


def test_held_ones_end_what_takes_care_of_them() -> None:
    hold_signals()
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end:
        exit_on_signals()
    assert end.value.code == 128 + signal.SIGTERM


DEAF = """
import ctypes, sys
from arclight.signals import exit_on_signals, last_words
exit_on_signals()
lock = ctypes.create_string_buffer(64)
library = ctypes.CDLL(None)
library.pthread_mutex_lock(lock)
with last_words(lambda: print("last words", flush=True)):
    print("waits", flush=True)
    library.pthread_mutex_lock(lock)  # in C, where no handler of Python's runs
"""


def test_a_second_signal_ends_what_waits_in_a_library() -> None:
    command = [sys.executable, "-c", DEAF]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "waits\n"
        time.sleep(0.2)
        child.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(1.5 * IMPATIENT)
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 128 + signal.SIGTERM
        assert child.stdout.read() == "last words\n"
