"""The examples beside exports answer as `scripts/predict.py` does for files of odd kinds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from arclight.run.execute import execute
from arclight.run_directory import RunDirectory, create
from tests.conftest import Composed
from tests.use.test_examples import answered, same, wanted
from tests.use.test_export import exported

SIZE = 12


def array(kind: type, scale: float, bands: int, first: bool = False) -> Any:
    def save(pixels: NDArray[np.int64], file: Path) -> None:
        stored = np.stack([pixels * scale + i for i in range(bands)], 0 if first else -1)
        np.save(file.with_suffix(".npy"), stored.astype(kind))

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


KINDS = {
    "12 bits": picture(".png", "I;16"),
    "fractions": picture(".tif", "F"),
    "LAB": picture(".tif", "LAB"),
    "three pages": pages,
    "a grey array": array(np.uint16, 16, 1, first=True),
    "an array of colours": array(np.uint8, 0.9, 3),
    "four bands": array(np.float32, 0.1, 4, first=True),
    "signed bands": array(np.int16, -3, 2),
}


@pytest.mark.slow
def test_examples_read_odd_images_as_predictions_do(composed: Composed, tmp_path: Path) -> None:
    for name, save in KINDS.items():
        place = tmp_path / name / "data"
        draw = np.random.default_rng(len(name))
        for split, count in (("train", 6), ("val", 2), ("test", 2), ("new", 2)):
            for label in ("a", "b"):
                (place / split / label).mkdir(parents=True)
                for i in range(count):
                    pixels = draw.integers(0, 120, (SIZE, SIZE))
                    pixels[: SIZE // 2] += 120 * (label == "a")
                    save(pixels, place / split / label / f"{i}")
        run = trained(
            composed, place.parent, "model=cnn", "model.widths=[4,4,4]", "data=image_folder",
            f"data.path={place}", f"data.image_size={SIZE}", "data.batch_size=6",
        )  # fmt: skip
        exported(run, "cnn", "onnx")
        told = wanted(run, str(place / "new"))
        assert len({line["probabilities"]["a"] for line in told}) > 1
        (found,) = answered(run, ["onnx"], [line["file"] for line in told])
        same(found, told)


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


@pytest.mark.slow
@pytest.mark.parametrize(("target", "encoding"), [("label", "utf-8"), ("age", "latin-1")])
def test_examples_read_odd_tables_as_predictions_do(
    composed: Composed, tmp_path: Path, target: str, encoding: str
) -> None:
    file = tmp_path / "a.csv"
    lines = [line for line in TABLE if target == "label" or ",NA," not in line]
    text = "\n".join(lines).replace("label", "läbel" if encoding == "latin-1" else "label")
    file.write_bytes(text.encode(encoding))
    run = trained(
        composed, tmp_path, "experiment=tabular", f"data.path={file}", f"data.target={target}",
        "data.missing=[NA]", "data.categorical=[code,sort]", f"data.encoding={encoding}",
        "data.batch_size=8",
    )  # fmt: skip
    exported(run, "mlp", "onnx")
    new = tmp_path / "new.csv"
    new.write_bytes("\n".join(NEW[target]).encode(encoding))
    told = wanted(run, str(new))
    (found,) = answered(run, ["onnx"], [str(new)])
    if target == "label":
        same(found, told)
    else:
        assert [one["age"] for one in found] == pytest.approx([float(t["age"]) for t in told], 1e-4)


def trained(composed: Composed, folder: Path, *words: str) -> RunDirectory:
    short = ("trainer.max_epochs=2", "preflight=false", "optimizer.lr=0.01")
    run = create(folder / "run", folder, "odd", composed(*words, *short), [], {})
    assert execute(run) == 0
    return run
