"""Imports torchmetrics without scipy.signal."""

import importlib
import sys
from types import ModuleType

SIGNAL = "scipy.signal"


def import_torchmetrics() -> None:
    """Imports torchmetrics, which Lightning imports anyway, in 0.65 s less.

    torchmetrics imports scipy.signal, and with it scipy.stats, only to put back a function that
    another package once missed. It has no option for that, and a lazy import does not help, since
    it looks into the module. So there is an almost empty module in its place for as long as
    torchmetrics is being imported; a later `import scipy.signal` gets the real one.

    Measured as the time of importing torchmetrics and Lightning after torch, one thread, three
    starts each in turn: 2.85 to 2.98 s with this, 3.54 to 3.62 s without (Python 3.11, torchmetrics
    1.9, scipy 1.17).

    A version of torchmetrics that needs more of scipy.signal fails here with an AttributeError.
    """
    if SIGNAL in sys.modules or "torchmetrics" in sys.modules:
        return
    scipy = importlib.import_module("scipy")
    empty = ModuleType(SIGNAL, "Stands for scipy.signal while torchmetrics is being imported.")
    vars(empty)["hamming"] = None
    sys.modules[SIGNAL] = vars(scipy)["signal"] = empty
    try:
        importlib.import_module("torchmetrics")
    finally:
        del sys.modules[SIGNAL]
        del vars(scipy)["signal"]
