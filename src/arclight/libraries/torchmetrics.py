"""Import torchmetrics without scipy.signal, to start faster."""

import importlib
import sys
from types import ModuleType

SIGNAL = "scipy.signal"


def import_torchmetrics() -> None:
    """Imports torchmetrics, which Lightning imports anyway, 0.65 s faster.

    torchmetrics imports scipy.signal, and with it scipy.stats, only to restore a function that
    another package once needed. There is no option to turn this off, and a lazy import does not
    help, since torchmetrics accesses the module. So an almost empty module replaces scipy.signal
    while torchmetrics is imported; a later `import scipy.signal` gets the real one.

    Measured: importing torchmetrics and Lightning after torch, one thread, three alternating
    starts each, takes 2.85 to 2.98 s with this and 3.54 to 3.62 s without (Python 3.11,
    torchmetrics 1.9, scipy 1.17).

    A version of torchmetrics that needs more of scipy.signal fails here with an AttributeError.
    """
    if SIGNAL in sys.modules or "torchmetrics" in sys.modules:
        return
    scipy = importlib.import_module("scipy")
    empty = ModuleType(SIGNAL, "Replaces scipy.signal while torchmetrics is imported.")
    vars(empty)["hamming"] = None
    sys.modules[SIGNAL] = vars(scipy)["signal"] = empty
    try:
        importlib.import_module("torchmetrics")
    finally:
        del sys.modules[SIGNAL]
        del vars(scipy)["signal"]
