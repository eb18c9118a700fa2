"""Tables with odd cells, types, suffixes and encodings."""

import gc
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from arclight.errors import UserError
from arclight_zoo.gallery.tabular.data import TableData
from arclight_zoo.text.labelled import LabelledText


@pytest.fixture(autouse=True)
def tables_closed() -> Iterator[None]:
    """Closes the tables that `datasets` leaves open after an error."""
    yield
    with warnings.catch_warnings(action="ignore"):
        gc.collect()


WORDS = [("Some", "None"), ("NA", "EU"), ("null", "full"), ("nan", "bread")]
ROWS = [f"text number {i}" for i in range(24)]


def csv(file: Path, labels: list[str], header: str = "text,label", encoding: str = "utf-8") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [header, *(f"{t},{label}" for t, label in zip(ROWS, labels, strict=False))]
    file.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return file


def texts(path: Path, **given: Any) -> LabelledText:
    data = LabelledText(str(path), tokenizer="characters", cache=str(path.parent / "c"), **given)
    data.setup()
    return data


def table(path: Path, **given: Any) -> TableData:
    data = TableData(str(path), target="label", drop=["text"], **given)
    data.setup()
    return data


@pytest.mark.parametrize("names", WORDS)
def test_cells_are_taken_literally(tmp_path: Path, names: tuple[str, str]) -> None:
    file = csv(tmp_path / "a.csv", [*names] * 12)
    assert texts(file).facts.class_names == sorted(names)
    rows = "\n".join(f"t,{i % 3},{name}" for i, name in enumerate([*names] * 12))
    (tmp_path / "b.csv").write_text(f"text,x,label\n{rows}\n")
    assert table(tmp_path / "b.csv").facts.class_names == sorted(names)


def test_a_value_can_be_declared_missing(tmp_path: Path) -> None:
    file = csv(tmp_path / "a.csv", ["a", "b", "NA"] * 8)
    with pytest.raises(UserError, match=r"8 rows of split train .* have no label"):
        texts(file, missing=["NA"])
    cells = [str(i) if i % 5 else "NA" for i in range(48)]
    rows = "\n".join(f"t,{cell},{'ab'[i % 2]}" for i, cell in enumerate(cells))
    (tmp_path / "b.csv").write_text(f"text,age,label\n{rows}\n")
    with pytest.raises(
        UserError, match=r"age .* numbers and the word NA: type data.missing=\[NA\]"
    ):
        table(tmp_path / "b.csv")
    facts = table(tmp_path / "b.csv", missing=["NA"]).facts
    assert facts.columns.gaps == ["age"]
    assert facts.missing == ["NA"]


def test_unused_splits_are_not_checked(tmp_path: Path) -> None:
    csv(tmp_path / "d" / "train.csv", ["a", "b"] * 12)
    csv(tmp_path / "d" / "test.csv", [""] * 12)
    assert texts(tmp_path / "d", train_split="train", test_split="train").facts.sizes["test"] == 24
    assert texts(tmp_path / "d", folds=3).facts.sizes["test"] == 8
    with pytest.raises(UserError, match=r"split test .* no label"):
        texts(tmp_path / "d")


@pytest.mark.parametrize(
    ("train", "test", "sentence"),
    [
        (["0", "1"], ["0", "neg"], r"Row 1 of .*test\.csv has 'neg' in the column label"),
        (["0", "0.5"], ["high", "low"], r"Row 0 of .*test\.csv has 'high' in the column label"),
    ],
)
def test_different_column_types_between_files_are_rejected(
    tmp_path: Path, train: list[str], test: list[str], sentence: str
) -> None:
    csv(tmp_path / "d" / "train.csv", train * 12)
    csv(tmp_path / "d" / "test.csv", test * 6)
    with pytest.raises(UserError, match=sentence + r", where train\.csv has numbers"):
        texts(tmp_path / "d")


def test_a_class_without_training_rows_is_reported(tmp_path: Path) -> None:
    csv(tmp_path / "d" / "train.csv", ["a", "b"] * 12)
    csv(tmp_path / "d" / "test.csv", ["a", "c"] * 6)
    assert texts(tmp_path / "d").notes == ["No training row has the class c."]


def test_a_column_missing_in_one_file_is_rejected(tmp_path: Path) -> None:
    csv(tmp_path / "d" / "train.csv", ["a", "b"] * 12)
    csv(tmp_path / "d" / "test.csv", ["a", "b"] * 6, "text,klass")
    with pytest.raises(UserError, match=r"test\.csv has no column label, which train\.csv has"):
        texts(tmp_path / "d")


@pytest.mark.parametrize("names", [("cat", "Cat"), ("cat", "cat "), ("a  b", "a b")])
def test_classes_that_differ_only_in_blanks_or_case_are_reported(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    (note,) = texts(csv(tmp_path / "a.csv", [*names, "dog"] * 8)).notes
    assert "differ only in blanks or case" in note
    assert all(repr(name) in note for name in names)


@pytest.mark.parametrize("name", ["A.CSV", "folder/TRAIN.CSV", "folder/my train.Csv"])
def test_suffixes_in_any_case(tmp_path: Path, name: str) -> None:
    csv(tmp_path / name, ["a", "b"] * 12)
    assert sum(texts(tmp_path / name.split("/")[0]).facts.sizes.values()) == 24


@pytest.mark.parametrize(
    ("stored", "given"),
    [("utf-16", None), ("utf-8-sig", None), ("latin-1", "latin-1"), ("cp1252", "cp1252")],
)
def test_encodings_are_detected_or_must_be_given(
    tmp_path: Path, stored: str, given: str | None
) -> None:
    file = csv(tmp_path / "a.csv", ["süß", "sauer"] * 12, encoding=stored)
    if given:
        with pytest.raises(UserError, match=r"not text in UTF-8 .* type data\.encoding=NAME"):
            texts(file)
    assert texts(file, encoding=given).facts.class_names == ["sauer", "süß"]


def test_a_request_for_a_column_shows_the_first_row(tmp_path: Path) -> None:
    file = csv(tmp_path / "a.csv", ["a", "b"] * 12, "review,stars")
    with pytest.raises(UserError, match="Its first row: review='text number 0', stars='a'"):
        texts(file)
