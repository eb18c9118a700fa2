"""The modules that torchmetrics is imported without can still be imported later."""

import subprocess
import sys

CODE = """
from arclight.libraries.torchmetrics import import_torchmetrics
import sys
import_torchmetrics()
assert "torchmetrics" in sys.modules and "scipy.signal" not in sys.modules
import scipy.signal
import torchmetrics.image, torchmetrics.audio
assert scipy.signal.windows.hamming(3).shape == (3,)
from scipy.signal import convolve
"""


def test_scipy_signal_is_complete_after_torchmetrics() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
