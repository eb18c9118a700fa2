"""Training freezes existing objects for the garbage collector."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from arclight.training.garbage import LIBRARIES, WARM_UP, FrozenGarbage


@pytest.fixture(autouse=True)
def nothing_frozen() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


def is_looked_at(thing: object) -> bool:
    return any(one is thing for one in gc.get_objects())


def trained(callback: FrozenGarbage) -> None:
    nothing: Any = None
    gc.collect()  # Python 3.12 sets immortal objects aside here
    callback.on_train_start(nothing, nothing)
    for _ in range(WARM_UP):
        callback.on_train_batch_end()


def test_what_lives_is_set_aside_until_training_ends() -> None:
    thing: list[Any] = [[]]
    callback, nothing = FrozenGarbage(), None
    trained(callback)
    assert not is_looked_at(thing)
    callback.on_train_end(nothing, nothing)  # type: ignore[arg-type]
    assert is_looked_at(thing)


def test_what_the_process_has_set_aside_stays_there() -> None:
    gc.freeze()
    try:
        thing: list[Any] = [[]]
        callback, nothing = FrozenGarbage(), None
        trained(callback)
        assert is_looked_at(thing)
        callback.on_train_end(nothing, nothing)  # type: ignore[arg-type]
        assert gc.get_freeze_count() > LIBRARIES
    finally:
        gc.unfreeze()
