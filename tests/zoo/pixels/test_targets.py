"""Images with several classes or values, from tables and from data with one class per image."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from arclight.errors import UserError
from arclight_zoo.pixels.augment import Augment
from arclight_zoo.pixels.image_data import ImageData
from arclight_zoo.pixels.targets import HOLDS
from tests.pictures import image_folder, parquet_folder, picture

N = 12
pytestmark = [  # datasets leaves a metadata.csv open
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Closes open files here, not in the middle of another test."""
    yield
    gc.collect()


def ready(path: Path | str, targets: Any, **given: Any) -> ImageData:
    shares = {"val_fraction": 0.0, "test_fraction": 0.0, "num_workers": 0}
    data = ImageData(str(path), targets=targets, **{"batch_size": N, **shares, **given})
    data.setup()
    return data


def targets_of(data: ImageData) -> torch.Tensor:
    """The targets of the training images, in the order of the source."""
    part = data.parts["train"]
    return torch.from_numpy(part.split.labels[part.rows])


def table(folder: Path, feature: Any, cells: list[Any]) -> Path:
    from datasets import Image

    pictures = [picture(i) for i in range(len(cells))]
    columns = {"image": Image(), "label": feature}
    return parquet_folder(folder, columns, train={"image": pictures, "label": cells})


def metadata(folder: Path, header: str, rows: list[str]) -> Path:
    """Writes images and a csv file of their targets."""
    folder.mkdir()
    for i in range(len(rows)):
        picture(i).save(folder / f"{i:02}.png")
    lines = [f"file_name,{header}", *(f"{i:02}.png,{row}" for i, row in enumerate(rows))]
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_lists_of_names(tmp_path: Path) -> None:
    from datasets import List, Value

    cells = [["dog", "cat"], [], ["cat"], ["emu"]] * 3
    data = ready(table(tmp_path / "t", List(Value("string")), cells), "multilabel")
    assert data.facts.class_names == ["cat", "dog", "emu"]
    assert data.facts.class_counts == [6, 3, 3]
    assert targets_of(data).tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 1]] * 3
    images, targets = next(iter(data.train_dataloader()))
    assert (images.shape, targets.shape) == ((N, 3, 12, 12), (N, 3))
    assert data.holds == HOLDS["multilabel"]


def test_lists_of_numbered_classes(tmp_path: Path) -> None:
    from datasets import ClassLabel, List

    known = List(ClassLabel(names=["a", "b", "c"]))
    data = ready(table(tmp_path / "t", known, [[2, 0], [1], []] * 4), "multilabel")
    assert data.facts.class_names == ["a", "b", "c"]
    assert targets_of(data)[:3].tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]


def test_names_in_a_csv_file(tmp_path: Path) -> None:
    data = ready(
        metadata(tmp_path / "m", "tags", ["old car|red", "", '"red, wet"'] * 4), "multilabel"
    )
    assert data.facts.class_names == ["old car", "red", "wet"]
    assert targets_of(data)[:3].tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 1]]


def test_numbers_in_columns(tmp_path: Path) -> None:
    rows = [f"{i / 2},{10 * i}" for i in range(N)]
    folder = metadata(tmp_path / "m", "x,y", rows)
    data = ready(folder, "values", label_column=["y", "x"])
    assert (data.facts.class_names, data.facts.num_classes) == (["y", "x"], 2)
    assert data.facts.class_counts == []
    assert targets_of(data)[3].tolist() == [30.0, 1.5]
    alone = ready(folder, "values")  # the only column of fractions
    assert alone.facts.class_names == ["x"]
    assert targets_of(alone).dtype == torch.float32
    assert alone.facts.fingerprint != data.facts.fingerprint


def test_lists_of_numbers(tmp_path: Path) -> None:
    from datasets import List, Value

    cells = [[float(i), -1.0, 0.5] for i in range(N)]
    data = ready(table(tmp_path / "t", List(Value("float32")), cells), "values")
    assert data.facts.class_names == ["label_0", "label_1", "label_2"]
    assert targets_of(data)[5].tolist() == [5.0, -1.0, 0.5]


def test_classes_convert_to_multilabel_or_values(tmp_path: Path) -> None:
    one = ready("sklearn:digits", "multilabel")
    classes = ready("sklearn:digits", "classes")
    assert torch.equal(targets_of(one).argmax(1), targets_of(classes))
    assert one.facts.class_counts == classes.facts.class_counts
    assert sum(classes.facts.class_counts) == 1797
    numbers = ready("sklearn:digits", "values")
    assert torch.equal(targets_of(numbers)[:, 0].long(), targets_of(classes))
    image_folder(tmp_path / "ages", {"7.5": 6, "30": 6})
    assert set(targets_of(ready(tmp_path / "ages", "values"))[:, 0].tolist()) == {7.5, 30.0}


@pytest.mark.parametrize("loader", ["memory", "workers"])
def test_mixed_images_have_mixed_targets(loader: str, tmp_path: Path) -> None:
    folder = metadata(tmp_path / "m", "tags", ["a|b", "c"] * 6)
    data = ready(folder, "multilabel", augment=Augment(mixup=1.0), loader=loader)
    _, targets = next(iter(data.train_dataloader()))
    assert targets.shape == (N, 3)
    assert ((targets > 0) & (targets < 1)).any()
    torch.testing.assert_close(targets[:, 0], targets[:, 1])


def test_a_fraction_is_held_out(tmp_path: Path) -> None:
    rows = [f"{i / 3}" for i in range(40)]
    data = ready(metadata(tmp_path / "m", "x", rows), "values", val_fraction=0.2, test_fraction=0.2)
    assert data.facts.sizes == {"train": 26, "val": 6, "test": 8}


@pytest.mark.parametrize(
    ("header", "rows", "given", "sentence"),
    [
        (
            "x",
            ["0.5", "", "1.5"],
            {"targets": "values"},
            "Row 1 of split train of .* has no finite",
        ),
        ("x", ["a", "b", "c"], {"targets": "values"}, "no columns that could hold numbers: type"),
        (
            "x,y",
            ["0.5,1.5"] * 3,
            {"targets": "values"},
            r"2 columns that .*\[NAME,...\] with several",
        ),
        ("x", ["a", "b", "c"], {"targets": "values", "label_column": "x"}, "more than numbers"),
        ("x", ["1", "2", "3"], {"targets": "multilabel"}, "no columns that could hold lists of cl"),
        (
            "x",
            ["a"] * 3,
            {"targets": "multilabel", "label_column": ["x"]},
            "which only works with data.targ",
        ),
    ],
)
def test_invalid_data_are_rejected(
    tmp_path: Path, header: str, rows: list[str], given: dict[str, Any], sentence: str
) -> None:
    folder = metadata(tmp_path / "m", header, rows)
    with pytest.raises(UserError, match=sentence):
        ready(folder, **given)


def test_class_names_are_not_values(tmp_path: Path) -> None:
    image_folder(tmp_path / "f", {"cat": 3, "dog": 3})
    with pytest.raises(UserError, match=r"the classes of .* are named cat, dog: type data\.lab"):
        ready(tmp_path / "f", "values")
