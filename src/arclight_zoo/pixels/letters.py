"""Images of printed letters, drawn with the fonts of matplotlib."""

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from arclight.seeds import mix
from arclight_zoo.pixels.digits import DigitsSplit
from arclight_zoo.pixels.source import Source
from arclight_zoo.reading.cache import cached

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSerif"),
    *("DejaVuSerif-Bold", "DejaVuSerif-Italic", "STIXGeneral", "STIXGeneralBol"),
    *("STIXGeneralItalic", "cmr10", "cmss10", "cmtt10"),
)
COPIES = 8  # images of each letter, upper and lower case, in each font
SIDE, BLOCK = 8, 4  # pixels per side, each the mean of a block of 4x4, as in the digits


class LettersSplit(DigitsSplit):
    """8x8 grey images."""

    def where(self, index: int) -> str:
        return f"Image {index} of the letters"


def open_letters(cache: Path) -> Source:
    """5,408 letters of 26 classes as one split, `train`, slightly rotated and shifted.

    They are made like scikit-learn's digits: bitmaps of 32x32, summed over blocks of 4x4.
    """
    key = f"letters 1|{FONTS}|{COPIES}"
    pixels = np.asarray(cached(cache, key, _draw_all))
    letters = np.arange(len(LETTERS), dtype=np.int64)
    labels = np.tile(np.repeat(letters, 2 * COPIES), len(FONTS))
    fingerprint = hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest()
    split = LettersSplit("train", pixels, labels, fingerprint)
    return Source("matplotlib:letters", list(LETTERS), {"train": split})


def _draw_all() -> NDArray[np.uint8]:
    """All letters, `(n, 1, 8, 8)`, ordered by font."""
    spec = importlib.util.find_spec("matplotlib")
    assert spec is not None
    assert spec.origin is not None
    fonts = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"
    drawn = []
    for number, name in enumerate(FONTS):
        font = ImageFont.truetype(fonts / f"{name}.ttf", 96)
        draw = np.random.Generator(np.random.Philox(key=mix("letters", number)))
        for letter in LETTERS:
            for one in (letter, letter.lower()):
                drawn += [_draw(one, font, draw) for _ in range(COPIES)]
    return np.stack(drawn)[:, None]


def _draw(
    letter: str, font: ImageFont.FreeTypeFont, draw: np.random.Generator
) -> NDArray[np.uint8]:
    """Draws a letter that fills the height, like the digits."""
    angle, width, x, y = draw.uniform(-12, 12), draw.uniform(0.8, 1.1), *draw.uniform(-2, 2, 2)
    page = Image.new("L", (192, 192))
    ImageDraw.Draw(page).text((96, 96), letter, fill=255, font=font, anchor="mm")
    page = page.rotate(angle, Image.Resampling.BILINEAR)
    page = page.crop(page.getbbox())
    side = SIDE * BLOCK
    height = side - 2
    wide = min(side, max(4, round(width * page.width * height / page.height)))
    page = page.resize((wide, height), Image.Resampling.BILINEAR)
    whole = Image.new("L", (side, side))
    whole.paste(page, (round((side - wide) / 2 + x), round(1 + y)))
    bits = np.asarray(whole) > 127
    counts = bits.reshape(SIDE, BLOCK, SIDE, BLOCK).sum((1, 3))
    shades: NDArray[np.uint8] = np.round(counts * (255 / BLOCK**2)).astype(np.uint8)
    return shades
