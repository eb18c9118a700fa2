"""Opening data sets of every kind, and the error messages."""

import io
import socket
import time
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from arclight.errors import UserError
from arclight_zoo.pixels.probe import check_labels
from arclight_zoo.pixels.sources import open_source
from tests.pictures import image_folder, parquet_folder, picture

IMAGE, CLASSES = datasets.Image(), datasets.ClassLabel(names=["cat", "dog"])


def fault(path: Path | str, **columns: str) -> str:
    with pytest.raises(UserError) as error:
        open_source(str(path), **columns)
    return str(error.value)


def test_digits_match_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    source = open_source("sklearn:digits")
    split = source.splits["train"]
    theirs = load_digits()
    assert source.class_names == [str(i) for i in range(10)]
    assert split.labels.tolist() == theirs.target.tolist()
    assert split.pixels is not None
    assert split.pixels.shape == (1797, 1, 8, 8)
    assert np.array_equal(np.round(split.pixels[:, 0] * (16 / 255)), theirs.images)
    assert split.pixels.max() == 255


def test_class_folders(tmp_path: Path) -> None:
    image_folder(tmp_path, {"dog": 2, "cat": 3})
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    source = open_source(str(tmp_path))
    assert source.class_names == ["cat", "dog"]
    split = source.splits["train"]
    assert split.labels.tolist() == [0, 0, 0, 1, 1]
    assert np.array_equal(np.asarray(split.image(3)), np.asarray(picture(0)))
    assert split.content(3) == (tmp_path / "dog" / "000.png").read_bytes()


def test_split_folders_with_class_folders(tmp_path: Path) -> None:
    for name, count in (("train", 3), ("validation", 2), ("test", 1)):
        image_folder(tmp_path / name, {"a": count, "b": count})
    source = open_source(str(tmp_path))
    assert {n: len(s.labels) for n, s in source.splits.items()} == {
        "train": 6,
        "validation": 4,
        "test": 2,
    }
    before = source.splits["train"].fingerprint
    assert open_source(str(tmp_path)).splits["train"].fingerprint == before
    picture(99).save(tmp_path / "train" / "a" / "more.png")
    assert open_source(str(tmp_path)).splits["train"].fingerprint != before


def test_parquet_files_named_by_split(tmp_path: Path) -> None:
    rows = {"img": [picture(i) for i in range(4)], "label": [0, 1, 1, 0]}
    few = {"img": [picture(9)], "label": [1]}
    parquet_folder(tmp_path, {"img": IMAGE, "label": CLASSES}, train=rows, test=few)
    source = open_source(str(tmp_path))
    assert source.class_names == ["cat", "dog"]
    assert source.splits["train"].labels.tolist() == [0, 1, 1, 0]
    assert np.array_equal(np.asarray(source.splits["test"].image(0)), np.asarray(picture(9)))
    assert Image.open(io.BytesIO(source.splits["train"].content(1))).size == (12, 12)


@pytest.mark.parametrize(
    ("kind", "values", "names", "labels"),
    [
        ("string", ["dog", "cat", "dog"], ["cat", "dog"], [1, 0, 1]),
        ("int64", [10, 9, 10], ["9", "10"], [1, 0, 1]),
    ],
)
def test_plain_labels_are_numbered_in_sorted_order(
    tmp_path: Path, kind: str, values: list[Any], names: list[str], labels: list[int]
) -> None:
    rows = {"image": [picture(i) for i in range(3)], "label": values}
    parquet_folder(tmp_path, {"image": IMAGE, "label": datasets.Value(kind)}, train=rows)
    source = open_source(str(tmp_path))
    assert source.class_names == names
    assert source.splits["train"].labels.tolist() == labels


def test_withheld_labels_are_not_a_class(tmp_path: Path) -> None:
    def rows(*labels: int) -> dict[str, list[Any]]:
        return {"image": [picture(i) for i in range(len(labels))], "label": list(labels)}

    columns = {"image": IMAGE, "label": datasets.Value("int64")}
    parquet_folder(tmp_path, columns, train=rows(0, 1, 1), test=rows(-1, -1))
    source = open_source(str(tmp_path))
    assert source.class_names == ["0", "1"]
    assert source.splits["test"].labels.tolist() == [-1, -1]
    with pytest.raises(UserError, match=r"Row 0 of split test of .* has label -1"):
        check_labels(source, source.splits.values())


def test_data_with_one_class_are_rejected(tmp_path: Path) -> None:
    source = open_source(str(image_folder(tmp_path, {"cat": 2})))
    with pytest.raises(UserError, match=r"have one class, cat, so there is nothing to classify"):
        check_labels(source, source.splits.values())


def test_columns_can_be_chosen(tmp_path: Path) -> None:
    columns = {"left": IMAGE, "right": IMAGE, "fine": CLASSES, "coarse": CLASSES}
    row = {"left": [picture(0)], "right": [picture(1)], "fine": [0], "coarse": [1]}
    parquet_folder(tmp_path, columns, train=row)
    assert fault(tmp_path) == (
        f"{tmp_path} has 2 image columns: type data.image_column=NAME with one of left, right."
    )
    assert fault(tmp_path, image_column="left") == (
        f"{tmp_path} has 2 columns that could be the label: type data.label_column=NAME with one "
        "of fine, coarse. Its first row: fine='0', coarse='1'."
    )
    assert fault(tmp_path, image_column="up") == (
        f"data.image_column=up is not a column of {tmp_path}: "
        "type one of left, right, fine, coarse. Its first row: fine='0', coarse='1'."
    )
    split = open_source(str(tmp_path), "right", "coarse").splits["train"]
    assert split.labels.tolist() == [1]
    assert np.array_equal(np.asarray(split.image(0)), np.asarray(picture(1)))


@pytest.mark.parametrize("path", ["sklearn:digits", "matplotlib:letters", "FOLDER"])
@pytest.mark.parametrize("key", ["label_column", "image_column", "group_column"])
def test_columns_of_a_source_without_any_are_rejected(tmp_path: Path, path: str, key: str) -> None:
    if path == "FOLDER":
        path = str(image_folder(tmp_path, {"cat": 1, "dog": 1}))
    assert fault(path, **{key: "colour"}) == (
        f"data.{key}=colour is a column of parquet or hub data, but {path} has no columns: type "
        f"data.{key}=null."
    )


def test_unused_splits_are_not_read(tmp_path: Path) -> None:
    columns = {"image": IMAGE, "label": datasets.Value("string")}
    good = {"image": [picture(0), picture(1)], "label": ["a", "b"]}
    bad = {"image": [picture(2)], "label": [None]}
    parquet_folder(tmp_path / "table", columns, train=good, test=bad)
    classes = {"cat": 1, "dog": 1}
    for split, own in (("train", classes), ("test", {"cow": 1})):
        image_folder(tmp_path / "folder" / split, own)
    for place in ("table", "folder"):
        with pytest.raises(UserError):
            open_source(str(tmp_path / place))
        source = open_source(str(tmp_path / place), wanted=lambda names: ["train"])
        assert list(source.splits) == ["train"]


def test_a_missing_image_column_is_rejected(tmp_path: Path) -> None:
    text = datasets.Value("string")
    parquet_folder(tmp_path, {"text": text, "label": CLASSES}, train={"text": ["a"], "label": [0]})
    assert fault(tmp_path).startswith(f"{tmp_path} has no image column among text, label: type ")
    message = fault(tmp_path, image_column="label")
    assert message.startswith(f"data.image_column=label of {tmp_path} does not hold images")


def test_rows_without_image_or_label_are_rejected(tmp_path: Path) -> None:
    columns = {"image": IMAGE, "label": CLASSES}
    rows = {"image": [picture(0), None], "label": [0, 1]}
    parquet_folder(tmp_path / "a", columns, train=rows)
    split = open_source(str(tmp_path / "a")).splits["train"]
    with pytest.raises(UserError, match=r"Row 1 of split train of .* has no image"):
        split.image(1)
    rows = {"image": [picture(0), picture(1)], "label": [0, None]}
    parquet_folder(tmp_path / "b", columns, train=rows)
    assert fault(tmp_path / "b").startswith(f"Row 1 of split train of {tmp_path}/b has no label")


def test_damaged_images_are_reported(tmp_path: Path) -> None:
    image_folder(tmp_path / "files", {"a": 1})
    file = tmp_path / "files" / "a" / "000.png"
    file.write_bytes(file.read_bytes()[:100])
    split = open_source(str(tmp_path / "files")).splits["train"]
    with pytest.raises(UserError, match=f"^{file} cannot be read as an image: replace or remove"):
        split.image(0)
    rows = {"image": [{"bytes": b"nonsense", "path": None}], "label": [0]}
    parquet_folder(tmp_path / "rows", {"image": IMAGE, "label": CLASSES}, train=rows)
    split = open_source(str(tmp_path / "rows")).splits["train"]
    with pytest.raises(UserError, match=r"^Row 0 of split train of .* cannot be read as an image"):
        split.image(0)


def test_class_folders_without_images_are_rejected(tmp_path: Path) -> None:
    image_folder(tmp_path, {"cat": 2, "dog": 0})
    assert fault(tmp_path).startswith(f"Class folder {tmp_path}/dog holds no images (.png, ")


def test_classes_without_training_images_are_rejected(tmp_path: Path) -> None:
    image_folder(tmp_path / "train", {"cat": 1})
    image_folder(tmp_path / "val", {"cat": 1, "cats": 1})
    assert fault(tmp_path).startswith(f"Class folder {tmp_path}/val/cats has no counterpart in ")


def test_paths_of_folders_are_not_looked_up_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(socket, "create_connection", None)
    monkeypatch.setattr(datasets, "load_dataset", None)
    for path in ("./cats", "/no/such/folder", "~/no/such", "data/cats", "a/b/c", "sklearn:iris"):
        assert fault(path).startswith(f"data.path={path} does not exist (looked for /")
        assert fault(path).endswith("type data.path=FOLDER with the folder of your images.")
    (tmp_path / "cats.zip").touch()
    assert fault("cats.zip") == (
        "data.path=cats.zip is a file: type data.path=., the folder it is in."
    )


def test_without_a_network_the_hub_fails_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(socket, "create_connection", unreachable)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    start = time.perf_counter()
    assert fault("someone/something") == (
        "data.path=someone/something is not a local folder, and on the Hugging Face hub "
        "someone/something is out of reach: no network; with a local copy, type data.path=FOLDER."
    )
    assert time.perf_counter() - start < 5


def test_folders_without_data_are_rejected(tmp_path: Path) -> None:
    assert fault(tmp_path).startswith(f"data.path={tmp_path} is an empty folder: type data.path=")
    (tmp_path / "train-00000-of-00001.parquet").write_bytes(b"nonsense")
    assert fault(tmp_path).startswith(f"data.path={tmp_path} cannot be read as a data set (")


def test_a_read_only_cache_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"image": [picture(0)], "label": [0]}
    parquet_folder(tmp_path / "data", {"image": IMAGE, "label": CLASSES}, train=rows)
    (tmp_path / "file").touch()
    cache = tmp_path / "file" / "cache"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    assert fault(tmp_path / "data") == (
        f"The cache of Hugging Face datasets {cache} is not writable (Not a directory): type "
        "HF_HOME=FOLDER before the command, with a writable folder."
    )
