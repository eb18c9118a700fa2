"""A signal where there is nothing to save ends the process, whatever it is in the middle of."""

import signal
import time
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest

from arclight.signals import AGAIN, SIGNALS, exit_on_signals, hold_signals
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
