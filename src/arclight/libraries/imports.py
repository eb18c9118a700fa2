"""What need not be imported at every start."""

import gc
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

SIGNAL = "scipy.signal"


@contextmanager
def no_garbage() -> Iterator[None]:
    """Importing makes a million objects that stay: half a second of looking for garbage in them."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def import_torchmetrics() -> None:
    """Imports torchmetrics, which Lightning does anyway, in half a second less.

    It imports scipy.signal only to give it back a function that another package misses. Meanwhile
    there is an empty module in that place; whoever imports scipy.signal later gets it whole.
    """
    if SIGNAL in sys.modules or "torchmetrics" in sys.modules:
        return
    scipy = importlib.import_module("scipy")
    empty = ModuleType(SIGNAL)
    vars(empty)["hamming"] = None
    sys.modules[SIGNAL] = vars(scipy)["signal"] = empty
    try:
        importlib.import_module("torchmetrics")
    finally:
        del sys.modules[SIGNAL]
        del vars(scipy)["signal"]
