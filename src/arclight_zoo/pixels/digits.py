"""Scikit-learn's 1,797 handwritten digits: real data that is already installed."""

import gzip
import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from arclight_zoo.pixels.decode import Take, upright
from arclight_zoo.pixels.source import Source


@dataclass(frozen=True)
class DigitsSplit:
    """8x8 grey images; the original's 17 shades are spread over 0 to 255."""

    name: str
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    fingerprint: str

    def image(self, index: int, take: Take = upright) -> Any:
        return take(Image.fromarray(self.pixels[index, 0]), b"")

    def content(self, index: int) -> bytes:
        return bytes(self.pixels[index].tobytes())

    def where(self, index: int) -> str:
        return f"Image {index} of the digits"


def open_digits() -> Source:
    """The digits as one split, `train` (Alpaydin and Kaynak, 1998)."""
    table = _read_table()
    shades = table[:, :64].reshape(-1, 1, 8, 8)
    pixels = np.round(shades * (255 / 16)).astype(np.uint8)
    labels = table[:, 64].astype(np.int64)
    fingerprint = hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest()
    split = DigitsSplit("train", pixels, labels, fingerprint)
    return Source("sklearn:digits", [str(i) for i in range(10)], {"train": split})


def _read_table() -> NDArray[np.float64]:
    """64 shades and the label per row.

    Importing scikit-learn takes a second, reading its file 30 ms.
    """
    spec = importlib.util.find_spec("sklearn")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        file = Path(folder, "datasets", "data", "digits.csv.gz")
        if file.is_file():
            with gzip.open(file, "rt") as lines:
                return np.loadtxt(lines, delimiter=",")
    from sklearn.datasets import load_digits  # should it keep the file elsewhere one day

    digits = load_digits()
    return np.column_stack([digits.data, digits.target])
