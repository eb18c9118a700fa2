"""Labelled text: splits and batches."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from arclight.errors import UserError
from arclight_zoo.text.labelled import LabelledText
from arclight_zoo.tokens import tokenizer as tokenizers
from arclight_zoo.tokens.ragged import ragged
from arclight_zoo.tokens.stdlib import PACKAGES, functions, labelled_functions
from tests.conftest import SHARED_DATA

COLOURS = ("red", "green", "blue")


def rows(count: int = 120) -> list[dict[str, Any]]:
    """Each text twice, with one of three labels."""
    return [
        {"text": f"number {i // 2} " + "is long " * (i // 2 % 5), "label": COLOURS[i // 2 % 3]}
        for i in range(count)
    ]


def written(place: Path, table: list[dict[str, Any]]) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("\n".join(json.dumps(row) for row in table))
    return place


def ready(path: Path | str, tmp_path: Path, **given: Any) -> LabelledText:
    options = {"tokenizer": "characters", "batch_size": 8, **given}
    data = LabelledText(str(path), cache=str(tmp_path / "cache"), **options)
    data.setup()
    return data


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path / "rows.jsonl", rows())


def said(data: LabelledText, stage: str) -> list[tuple[str, str]]:
    part = data.parts[stage]
    tokens, _ = part.texts.padded(torch.arange(len(part.texts)), data.pad)
    texts = data.tokenizer.decode_batch(tokens.tolist())
    return [(t, data.facts.class_names[i]) for t, i in zip(texts, part.labels, strict=True)]


def test_splits_cover_all_texts_and_keep_equal_ones_together(file: Path, tmp_path: Path) -> None:
    data = ready(file, tmp_path)
    parts = {stage: said(data, stage) for stage in ("train", "val", "test")}
    everything = sorted(pair for part in parts.values() for pair in part)
    assert everything == sorted((r["text"], r["label"]) for r in rows())
    texts = {stage: {text for text, _ in part} for stage, part in parts.items()}
    assert not texts["train"] & texts["val"]
    assert not texts["train"] & texts["test"]
    assert not texts["val"] & texts["test"]
    assert {label for _, label in parts["test"]} == set(COLOURS)  # stratified
    assert data.facts.class_names == sorted(COLOURS)
    assert data.facts.sizes == {"train": 96, "val": 12, "test": 12}


def test_a_batch_is_padded_to_its_longest(file: Path, tmp_path: Path) -> None:
    data = ready(file, tmp_path, eval_batch_size=5)
    start, end = map(data.tokenizer.token_to_id, (tokenizers.START, tokenizers.END))
    lengths = []
    for tokens, mask, labels in data.test_dataloader():
        assert tokens.shape == mask.shape == (len(labels), int(mask.sum(1).max()))
        assert (tokens[:, 0] == start).all()
        assert ((tokens == end).sum(1) == 1).all()
        assert (tokens[~mask] == data.facts.pad).all()
        assert not (tokens[mask] == data.facts.pad).any()
        lengths += mask.sum(1).tolist()
    assert len(lengths) == data.facts.sizes["test"]
    short = ready(file, tmp_path, max_length=10)
    tokens, mask, _ = next(iter(short.train_dataloader()))
    assert tokens.shape[1] == 10
    assert (tokens[mask.sum(1) == 10, -1] == end).all()  # special tokens are never cut off
    assert short.facts.for_model() == {
        "vocab_size": data.facts.vocab_size,
        "context": 10,
        "pad": 0,
        "num_classes": 3,
    }


def test_splits_are_reproducible(file: Path, tmp_path: Path) -> None:
    first, second = ready(file, tmp_path), ready(file, tmp_path / "new")
    assert first.facts == second.facts
    for a, b in zip(first.train_dataloader(), second.train_dataloader(), strict=True):
        assert all(map(torch.equal, a, b))
    assert ready(file, tmp_path, split_seed=1).facts.fingerprint != first.facts.fingerprint
    assert ready(file, tmp_path, limit=8).facts.sizes == {"train": 8, "val": 8, "test": 8}


def test_the_run_keeps_its_tokenizer(file: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for table in (rows(), [*rows(), {"text": "ßß", "label": "red"}]):
        data = LabelledText(str(written(file, table)), tokenizer="characters", batch_size=8)
        data.folder = run
        data.setup()
        assert "ß" not in data.tokenizer.get_vocab()


def test_splits_of_a_folder(tmp_path: Path) -> None:
    table = rows()
    for name, part in (("train", table[:80]), ("validation", table[80:100]), ("test", table[100:])):
        written(tmp_path / "set" / f"{name}.jsonl", part)
    data = ready(tmp_path / "set", tmp_path)
    assert data.facts.sizes == {"train": 80, "val": 20, "test": 20}
    assert said(data, "test") == [(r["text"], r["label"]) for r in table[100:]]


def test_form_feeds_do_not_end_lines() -> None:
    source = "a = 1\n\f\ndef f():\n    return '\f'\n\n\nclass C:\n    def g(self):\n        pass\n"
    assert list(functions(source)) == [
        "def f():\n    return '\f'\n", "def g(self):\n    pass\n"
    ]  # fmt: skip


def test_the_functions_of_the_library() -> None:
    found = list(labelled_functions())
    counts = np.bincount([label for _, label in found])
    assert len(counts) == len(PACKAGES)
    assert counts.min() >= 200
    assert all(text.startswith(("def ", "async def ")) for text, _ in found)
    assert found == list(labelled_functions())


@pytest.mark.skipif(not SHARED_DATA.exists(), reason="needs SST-2")
def test_sst2(tmp_path: Path) -> None:
    data = ready(SHARED_DATA / "sst2", tmp_path, tokenizer="bpe", vocab_size=300, limit=50)
    assert data.facts.class_names == ["negative", "positive"]
    assert data.facts.sizes == {"train": 50, "val": 50, "test": 50}


def test_invalid_data_are_rejected(file: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.label_column=kind is not a column of"):
        ready(file, tmp_path, label_column="kind")
    with pytest.raises(UserError, match=r"data\.max_length=2 leaves no room for a text"):
        ready(file, tmp_path, max_length=2)
    with pytest.raises(UserError, match=r"has no columns that could be data\.text_column: type"):
        ready(written(tmp_path / "a.jsonl", [{"a": "x", "b": 1}] * 9), tmp_path)
    with pytest.raises(UserError, match=r"Row 1 of split train of .* has no text in text: remove"):
        ready(
            written(tmp_path / "b.jsonl", [{"text": t, "label": 1} for t in ("x", "", "y")]),
            tmp_path,
        )
    with pytest.raises(UserError, match=r"Row 2 of split train of .* has no label: remove"):
        ready(
            written(tmp_path / "c.jsonl", [{"text": "x", "label": n} for n in (1, 0, None)]),
            tmp_path,
        )
    alike = [{**row, "label": "red"} for row in rows()]
    with pytest.raises(UserError, match=r"d\.jsonl have one class, red, so there is nothing to"):
        ready(written(tmp_path / "d.jsonl", alike), tmp_path)


@pytest.mark.parametrize("kind", [int, str])
def test_withheld_labels_are_not_a_class(tmp_path: Path, kind: type) -> None:
    def made(name: str, labels: list[int]) -> None:
        table = [{"text": f"{name} {i}", "label": kind(n)} for i, n in enumerate(labels)]
        written(tmp_path / "set" / f"{name}.jsonl", table)

    made("train", [0, 1] * 20)
    made("validation", [0, 1] * 5)
    made("test", [-1] * 10)
    with pytest.raises(UserError, match=r"rows without a label \(-1\): type data\.test_split=NAME"):
        ready(tmp_path / "set", tmp_path)
    known = ready(tmp_path / "set", tmp_path, test_split="validation")
    assert known.facts.class_names == ["0", "1"]
    assert set(known.parts["test"].labels.tolist()) == {0, 1}


def test_minus_one_among_other_labels_is_a_class(tmp_path: Path) -> None:
    table = [{"text": f"text {i}", "label": i % 3 - 1} for i in range(60)]
    data = ready(written(tmp_path / "signs.jsonl", table), tmp_path)
    assert data.facts.class_names == ["-1", "0", "1"]


def test_withheld_labels_are_rejected_for_evaluation(tmp_path: Path) -> None:
    import datasets

    kinds = {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
    (tmp_path / "set").mkdir()
    for name, label in (("train", 1), ("test", -1)):
        columns = {"text": [f"text {i}" for i in range(20)], "label": [label] * 20}
        table = datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))
        table.to_parquet(tmp_path / "set" / f"{name}-00000-of-00001.parquet")
    with pytest.raises(UserError, match=r"rows without a label \(-1\): type data\.test_split=NAME"):
        ready(tmp_path / "set", tmp_path)


def test_ragged_rows() -> None:
    texts = ragged(np.arange(10, 16, dtype=np.int32), np.array([3, 0, 1, 2]))
    tokens, own = texts.padded(torch.tensor([3, 1, 0]), -1)
    assert tokens.tolist() == [[14, 15, -1], [-1, -1, -1], [10, 11, 12]]
    assert own.sum(1).tolist() == [2, 0, 3]
    assert texts.take(np.array([3, 0])).tokens.tolist() == [14, 15, 10, 11, 12]
    assert len(texts) == 4
