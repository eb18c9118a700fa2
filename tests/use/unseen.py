"""Inputs that no run has seen, of every kind that people have."""

from pathlib import Path

import numpy as np
from PIL import Image

SIZES = ((12, 9), (31, 64), (8, 8), (100, 75), (7, 23), (640, 427))


def images(folder: Path, count: int = 40) -> list[str]:
    """Photographs and drawings: not square, large, grey, deep, turned, with transparency."""
    folder.mkdir(exist_ok=True)
    files = []
    for i in range(count):
        draw = np.random.default_rng(1000 + i)
        width, height = SIZES[i % len(SIZES)]
        coarse = draw.integers(0, 256, (5, 5, 3), np.uint8)
        colours = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        image, suffix, more = colours, "png", {}
        kind = i // len(SIZES) % 8
        if kind == 1:
            image, suffix = colours.convert("L"), "jpg"
        elif kind == 2:
            deep = np.asarray(colours.convert("L")).astype(np.uint16) * 257
            image = Image.fromarray(deep)
        elif kind == 3:
            turned = Image.Exif()
            turned[0x0112] = 6
            suffix, more = "jpg", {"exif": turned}
        elif kind == 4:
            image = colours.convert("P")
            more = {"transparency": 3}
        elif kind == 5:
            image = colours.convert("RGBA")
            image.putalpha(90)
        elif kind == 6:
            image = colours.convert("1") if i % 2 else colours.convert("LA")
        files.append(str(folder / f"{i:02}.{suffix}"))
        image.save(files[-1], **more)
    large = Image.fromarray(np.random.default_rng(7).integers(0, 256, (20, 30, 3), np.uint8))
    large.resize((3000, 2000), Image.Resampling.BICUBIC).save(files[-1])
    return files


def texts(file: Path) -> Path:
    """Lines: short and very long, of other scripts, with what looks like special tokens."""
    lines = [
        "def read(file):",
        "x",
        "  indented\twith tabs  ",
        "über ✓ 漢字 🙂",
        "",
        "a </s> b <pad>",
    ]
    lines += ["import os " * 300, "the 3rd of May 1999", "'quoted' \"twice\" \\n", "é" * 400]
    lines += [f"line {i} of {'many ' * i}" for i in range(30)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def table(file: Path, columns: list[str]) -> Path:
    """Rows of numbers, in another order than they were learnt in."""
    numbers = np.random.default_rng(3).normal(10, 30, (40, len(columns)))
    lines = [",".join(reversed(columns)), *(",".join(f"{n:.4f}" for n in row) for row in numbers)]
    file.write_text("\n".join(lines) + "\n")
    return file
