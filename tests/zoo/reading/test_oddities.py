"""Tables with odd cells, types, suffixes and encodings."""

import gc
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from arclight.errors import UserError
from arclight_zoo.gallery.tabular.data import TableData
from arclight_zoo.gallery.tabular.question import read_rows
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
    [
        *((name, None) for name in ("utf-16", "utf-8-sig", "utf-32", "utf-16-le", "utf-16-be")),
        *((name, name) for name in ("latin-1", "cp1252")),
    ],
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


WORDS_OF_24 = [f"row {i}" for i in range(24)]
BOTH = ["a", "b"] * 12


def lines(header: str, row: str) -> str:
    """A csv file of 24 rows; `{i}` is the row's number and `{label}` its class."""
    made = [row.format(i=i, x=(i * 7) % 24 / 8, label=BOTH[i]) for i in range(24)]
    return "\n".join([header, *made]) + "\n"


def numbers(folder: Path, content: str, suffix: str = ".csv", **given: Any) -> TableData:
    (folder / f"a{suffix}").write_text(content)
    data = TableData(str(folder / f"a{suffix}"), target="label", **given)
    data.setup()
    return data


@pytest.mark.parametrize(
    ("header", "row", "columns", "note"),
    [
        (",x,label", "{i},{x},{label}", ["x"], "Left out columns without a name"),
        ("x,label,", "{x},{label},", ["x"], "Left out columns without a name"),
        ("id,x,label", "{i},{x},{label}", ["id", "x"], "number the rows .*: id"),
        ("x,c,label", "{x},5,{label}", ["x", "c"], "one value in all training rows: c"),
        ("x,label", "{x},{label}\n,", ["x"], "Left out 24 empty rows"),
    ],
)
def test_columns_and_rows_of_a_spreadsheet(
    tmp_path: Path, header: str, row: str, columns: list[str], note: str
) -> None:
    data = numbers(tmp_path, lines(header, row))
    assert data.facts.columns.numbers == columns
    assert any(re.search(note, one) for one in data.notes)


@pytest.mark.parametrize(
    ("header", "row", "sentence"),
    [
        ("x,x,label", "1,{x},{label}", "several columns named x"),
        ("x,label,label", "{x},1,{label}", "several columns named label"),
        ("x,label", "{x},{label},more,3", "more cells than its first line"),
        ("title\nx,z,label", "{x},1,{label}", "more cells than its first line"),
        ("x,label", '"{i},5",{label}', r"written as '.*,5': write them as 1234\.5"),
        ("x,label", '"1,{i}00",{label}', r"written as '1,.*'.*data\.categorical=\[x\]"),
        ("x,label", "{i}%,{label}", "written as '.*%'"),
        ("x,label", "${x},{label}", r"written as '\$"),
        ("x,label", "1e{i}00,{label}", "infinite in x|too large"),
    ],
)
def test_tables_that_would_be_misread_are_rejected(
    tmp_path: Path, header: str, row: str, sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        numbers(tmp_path, lines(header, row))


@pytest.mark.parametrize("word", ["nan", "NaN", "n/a", "?"])
def test_words_among_numbers_are_named(tmp_path: Path, word: str) -> None:
    cells = [str(i / 7) if i % 8 else word for i in range(80)]
    rows = "\n".join(f"{cell},{i},{'ab'[i % 2]}" for i, cell in enumerate(cells))
    with pytest.raises(UserError, match=rf"the word {re.escape(word)}: type data\.missing="):
        numbers(tmp_path, f"x,z,label\n{rows}\n")
    assert numbers(tmp_path, f"x,z,label\n{rows}\n", missing=[word]).facts.columns.gaps == ["x"]


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}])
def test_nested_values_are_rejected(tmp_path: Path, value: Any) -> None:
    rows = [{"x": i, "m": value, "label": BOTH[i]} for i in range(24)]
    with pytest.raises(UserError, match=r"column m .* lists or objects"):
        numbers(tmp_path, "\n".join(map(json.dumps, rows)), ".jsonl")
    rows = [{"text": WORDS_OF_24[i], "label": [BOTH[i]]} for i in range(24)]
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(UserError, match="labels are lists or objects"):
        texts(tmp_path / "b.jsonl")


@pytest.mark.parametrize("test", [["z,label", "1,{label}"], ["x,z,label", ",1,{label}"]])
def test_a_column_that_is_empty_in_one_split_is_rejected(tmp_path: Path, test: list[str]) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "train.csv").write_text(lines("x,z,label", "{x},{i},{label}"))
    (tmp_path / "d" / "test.csv").write_text(lines(*test))
    with pytest.raises(UserError, match="column x is missing or empty in split test"):
        TableData(str(tmp_path / "d"), target="label").setup()


def test_a_target_with_one_value_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"have the label 2\.5, so there is nothing to predict"):
        numbers(tmp_path, lines("x,label", "{x},2.5"))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json", ".jsonl"])
def test_predictions_read_cells_as_training_does(tmp_path: Path, suffix: str) -> None:
    """Also where a column's other rows would give the cell another type."""
    names = ("x", "code", "flag", "day", "label")
    rows = [
        (i / 7 + 0.01, f"0{i % 3}" if i % 6 else "A", i % 2 == 0, f"2020-01-0{i % 4 + 1}", BOTH[i])
        for i in range(24)
    ]

    def stored(some: list[tuple[Any, ...]]) -> str:
        as_json = [json.dumps(dict(zip(names, row, strict=True))) for row in some]
        if suffix in (".json", ".jsonl"):
            return f"[{','.join(as_json)}]" if suffix == ".json" else "\n".join(as_json)
        by = "," if suffix == ".csv" else "\t"
        return "\n".join(by.join(map(str, row)) for row in [names, *some]) + "\n"

    data = numbers(tmp_path, stored(rows), suffix)
    file = tmp_path / f"new{suffix}"
    whole = read_rows(tmp_path / f"a{suffix}", data.facts)
    assert (whole[:, 1:] > 0).all()  # no category is unknown
    for i in (1, 6):
        file.write_text(stored(rows[i : i + 1]))
        assert (read_rows(file, data.facts)[0] == whole[i]).all()


@pytest.mark.parametrize("header", ["text,label", "label,text"])
def test_texts_with_unquoted_commas_are_rejected(tmp_path: Path, header: str) -> None:
    row = "one, two {i},{label}" if header.startswith("text") else "{label},one, two {i}"
    (tmp_path / "a.csv").write_text(lines(header, row))
    with pytest.raises(UserError, match="quote texts that contain commas"):
        texts(tmp_path / "a.csv")


def test_a_column_of_numbers_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(lines("text,label", "{i},{label}"))
    with pytest.raises(UserError, match=r"column text .* holds no text \(its first cell is 0\)"):
        texts(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["a.tsv", "d/train.tsv", "d/TRAIN.TSV"])
def test_tables_separated_by_tabs(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(lines("text\tlabel", "one, two {i}\t{label}").replace("\ta\n", "\tNA\n"))
    data = texts(file if file.parent == tmp_path else file.parent)
    assert data.facts.class_names == ["NA", "b"]
