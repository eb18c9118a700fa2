"""Error messages for files that are not tables, or not the expected tables."""

import gc
import logging
import warnings
from pathlib import Path
from typing import Any

import pytest

from arclight.errors import UserError
from arclight_zoo.image_text.data import CaptionedImages
from arclight_zoo.pixels.sources import open_source
from arclight_zoo.reading.division import Division
from arclight_zoo.tokens.documents import open_documents
from arclight_zoo.tokens.labelled_tables import open_classes, open_pairs
from tests.pictures import picture


def fault(file: Path, **given: Any) -> str:
    with pytest.raises(UserError) as error:
        open_classes(str(file), **{"text_column": None, "label_column": None, **given})
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", b"", "is empty: fill it or remove it."),
        ("a.csv", b"text,label\n", "has no rows: fill it, or type another data.path."),
        ("a.csv", "text,label\nStraße,1\n".encode("latin1"),
         "is not text in UTF-8 (invalid continuation byte): convert it, for example with iconv -f "
         "latin1 -t utf-8."),
        ("a.jsonl", b'{"text": "a", "label": 1}\n{"text": "b", "label":\n{"text": "c"}\n',
         "is not a JSON object: fix or remove it."),
        ("a.csv", b"text;label\ngood;1\nbad, too;0\n",
         "has one column, named 'text;label'. It looks separated by ';', but csv files are split "
         "at commas: convert it to commas."),
        ("a.csv", b"text\tlabel\ngood\t1\n",
         "has one column, named 'text\\tlabel'. It looks separated by tabs, but csv files are "
         "split at commas: convert it to commas."),
        ("folder/train.csv", b"text;label\ngood;1\n",
         "has one column, named 'text;label'. It looks separated by ';', but csv files are split "
         "at commas: convert it to commas."),
    ],
)  # fmt: skip
def test_the_message_names_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, content: bytes, told: str
) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    logging.getLogger("datasets").addHandler(caplog.handler)  # its records do not propagate
    try:
        message = fault(tmp_path / name.split("/")[0])
    finally:
        logging.getLogger("datasets").removeHandler(caplog.handler)
    assert message.endswith(told)
    assert str(tmp_path / name.split("/")[0]) in message
    assert "image" not in message
    assert not caplog.records
    if name == "a.jsonl":
        assert message.startswith("Line 2 of ")


def test_text_and_label_must_be_different_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,other\ngood,1\nbad,0\n")
    assert fault(tmp_path / "a.csv", label_column="text") == (
        f"The column text of {tmp_path}/a.csv cannot be both input and target: type "
        "data.label_column=NAME with another column, or a data.path that has one."
    )
    (tmp_path / "b.csv").write_text("text\ngood\nbad\n")
    assert fault(tmp_path / "b.csv").startswith("The column text of ")
    with pytest.raises(UserError, match=r"cannot be both .*: type data\.target_column=NAME"):
        open_pairs(str(tmp_path / "b.csv"), None, None)


def test_empty_cells_are_counted(tmp_path: Path) -> None:
    cells = ["" if i % 10 == 3 else f"text {i}" for i in range(100)]
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"{c},a\n" for c in cells))
    assert fault(tmp_path / "a.csv") == (
        f"10 rows of split train of {tmp_path}/a.csv (3, 13, 23, 33, 43, ...) have no text in "
        "text: remove them, or type data.text_column=NAME with another of text, label."
    )
    (tmp_path / "b.csv").write_text("text,label\n" + "".join(f"x,{c}\n" for c in cells[:20]))
    assert fault(tmp_path / "b.csv") == (
        f"2 rows of split train of {tmp_path}/b.csv (3, 13) have no label: remove them."
    )


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([f"{i / 7:.3f}" for i in range(300)], "300 different values in 300 rows, such as 0.0 and"),
        ([f"{i % 40 + 0.5}" for i in range(300)], "40 different values in 300 rows, such as 0.5"),
        ([f"id{i // 2 * 2 + i % 3 // 2}" for i in range(300)], "different values in 300 rows"),
    ],
)
def test_columns_of_numbers_or_row_names_are_not_classes(
    tmp_path: Path, labels: list[str], told: str
) -> None:
    rows = "".join(f"text {i},{label}\n" for i, label in enumerate(labels))
    (tmp_path / "a.csv").write_text("text,score\n" + rows)
    message = fault(tmp_path / "a.csv", label_column="score")
    assert message.startswith(f"The column score of {tmp_path}/a.csv has ")
    assert told in message
    assert "Type data.label_column=NAME with a column of classes" in message


@pytest.mark.parametrize("labels", [[i // 3 for i in range(300)], [i % 5 + 0.5 for i in range(30)]])
def test_many_small_classes_and_a_few_fractions_are_classes(
    tmp_path: Path, labels: list[float]
) -> None:
    rows = "".join(f"text {i},{label}\n" for i, label in enumerate(labels))
    (tmp_path / "a.csv").write_text("text,label\n" + rows)
    assert len(open_classes(str(tmp_path / "a.csv"), None, None).names) == len(set(labels))


def test_an_empty_text_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    with pytest.raises(UserError, match=r"^The text .*/a\.txt is empty: fill it, or type another"):
        open_documents(str(tmp_path / "a.txt"), None, Division(), tmp_path)


def test_images_without_classes_or_captions(tmp_path: Path) -> None:
    for i in range(3):
        picture(i).save(tmp_path / f"{i}.png")
    with pytest.raises(UserError) as error:
        open_source(str(tmp_path))
    assert str(error.value) == (
        f"{tmp_path} has images but no class folders: put the images of each class into their own "
        f"folder, {tmp_path}/CLASS/*.png, or type data.path=FOLDER with the folder above."
    )

    def captions() -> str:
        data = CaptionedImages(
            str(tmp_path), caption_column="caption", cache=str(tmp_path / "cache")
        )
        with pytest.raises(UserError) as error:
            data.setup()
        told = str(error.value)
        del error, data
        with warnings.catch_warnings(action="ignore"):  # datasets has left the table open
            gc.collect()
        return told

    assert captions() == (
        f"{tmp_path} has images, but no file with their caption: put a metadata.csv beside "
        "them, with the columns file_name and caption."
    )
    (tmp_path / "metadata.csv").write_text("file,caption\n0.png,a\n1.png,b\n2.png,c\n")
    assert captions() == (
        f"{tmp_path}/metadata.csv has no column file_name, which names the image of each row: add "
        "it, or rename the one that does."
    )
