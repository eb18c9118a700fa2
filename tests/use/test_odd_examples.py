"""The examples beside exports read files of odd kinds as `scripts/predict.py` does."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps, ImageSequence

from arclight_zoo.gallery.tabular.data import TableData
from arclight_zoo.gallery.tabular.question import read_rows
from arclight_zoo.gallery.tabular.usage import table_usage
from arclight_zoo.pixels.decode import model_input
from arclight_zoo.pixels.image_facts import ImageFacts
from arclight_zoo.pixels.usage import image_reader

# An example is a short program, which leaves closing its files to its end.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
SIZE = 12


def array(kind: type, scale: float, bands: int, first: bool = False) -> Any:
    def save(pixels: NDArray[np.int64], file: Path) -> None:
        stored = np.stack([pixels * scale + i for i in range(bands)], 0 if first else -1)
        np.save(file.with_suffix(".npy"), stored > 120 if kind is bool else stored.astype(kind))

    return save


def picture(suffix: str, mode: str) -> Any:
    def save(pixels: NDArray[np.int64], file: Path) -> None:
        if mode == "F":
            image = Image.fromarray((pixels / 255).astype(np.float32))
        elif mode == "I;16":
            image = Image.fromarray((pixels * 16).astype(np.uint16))
        elif mode == "LAB":
            image = Image.merge("LAB", [Image.fromarray(pixels.astype(np.uint8))] * 3)
        else:
            image = Image.fromarray(pixels.astype(np.uint8)).convert("RGB").convert(mode)
        image.save(file.with_suffix(suffix))

    return save


def pages(pixels: NDArray[np.int64], file: Path) -> None:
    first, *others = (Image.fromarray((pixels * 4 + i).astype(np.uint16)) for i in range(3))
    first.save(file.with_suffix(".tif"), save_all=True, append_images=others)


KINDS: dict[str, tuple[Any, int, list[float]]] = {
    "12 bits": (picture(".png", "I;16"), 1, [0, 4095]),
    "fractions": (picture(".tif", "F"), 1, [0, 1]),
    "LAB": (picture(".tif", "LAB"), 1, []),
    "LAB in colour": (picture(".tif", "LAB"), 3, []),
    "a palette": (picture(".gif", "P"), 3, []),
    "three pages": (pages, 3, [0, 1023]),
    "a grey array": (array(np.uint16, 16, 1, first=True), 1, [0, 4095]),
    "an array of truths": (array(bool, 1, 1), 1, []),
    "an array of colours": (array(np.uint8, 0.9, 3), 3, []),
    "four bands": (array(np.float32, 0.1, 4, first=True), 4, [0, 24]),
    "signed bands": (array(np.int16, -3, 2), 2, [-720, 0]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [8, SIZE])
def test_examples_read_odd_images_as_predictions_do(tmp_path: Path, kind: str, size: int) -> None:
    save, channels, span = KINDS[kind]
    facts = ImageFacts(
        num_classes=2, class_names=["a", "b"], image_size=size, channels=channels, sizes={},
        mean=[0.4] * channels, std=[0.3] * channels, fingerprint="", value_range=span,
    )  # fmt: skip
    save(np.random.default_rng(1).integers(0, 240, (SIZE, SIZE)), tmp_path / "a")
    (file,) = tmp_path.iterdir()
    names: dict[str, Any] = {"np": np, "Image": Image, "ImageOps": ImageOps}
    names |= {"ImageSequence": ImageSequence, "sys": sys}
    exec(image_reader(facts), names)
    told = model_input(file, facts).numpy()
    assert told.std() > 0.1
    np.testing.assert_allclose(names["prepared"](str(file)), told, atol=1e-5)


TABLE = ["flag,code,day,age,sort,label"]
TABLE += [
    f"{'true' if i % 3 else 'false'},0{i % 4},2020-01-0{i % 5 + 1},{i / 7 if i % 6 else 'NA'},"
    f"{i % 3 + 1},{'yes' if i * 7 % 5 > 2 else 'no'}"
    for i in range(60)
]
NEW = {
    "label": ["sort,flag,code,day,age", "1,true,00,2020-01-03,", "2,false,1,2021-01-01,NA"],
    "age": [
        "läbel,sort,flag,code,day",
        "yes,1,true,00,2020-01-03",
        "no,2,false,1,2021-01-01",
        ",7,,,",
    ],
}


@pytest.mark.parametrize(("target", "encoding"), [("label", "utf-8"), ("age", "latin-1")])
def test_examples_read_odd_tables_as_predictions_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, encoding: str
) -> None:
    file, new = tmp_path / "a.csv", tmp_path / "new.csv"
    lines = [line for line in TABLE if target == "label" or ",NA," not in line]
    text = "\n".join(lines).replace("label", "läbel" if encoding == "latin-1" else "label")
    file.write_bytes(text.encode(encoding))
    new.write_bytes("\n".join(NEW[target]).encode(encoding))
    data = TableData(
        str(file), target, missing=["NA"], categorical=["code", "sort"], encoding=encoding,
        batch_size=8,
    )  # fmt: skip
    data.setup()
    facts = data.facts
    found: list[NDArray[np.float32]] = []

    def model(rows: NDArray[np.float32]) -> Any:
        found.append(rows)
        return [np.zeros((1, 2))]

    known = {"classes": json.dumps(facts.class_names), "inputs": json.dumps(facts.inputs)}
    known |= {"mean": "0", "std": "1"}
    monkeypatch.setattr(sys, "argv", ["example.py", str(new)])
    exec(
        table_usage(facts).code,
        {"np": np, "json": json, "csv": csv, "sys": sys, "known": known, "model": model},
    )
    np.testing.assert_allclose(np.concatenate(found), read_rows(new, facts), atol=1e-5)
