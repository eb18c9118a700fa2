"""Pairs of texts: batches, splits and dates."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from arclight.errors import UserError
from arclight_zoo.text.pairs import TextPairs
from arclight_zoo.tokens import tokenizer as tokenizers
from arclight_zoo.tokens.dates import FORMS, PAIRS, in_words, pairs
from arclight_zoo.tokens.ragged import IGNORED


def ready(path: Path | str, tmp_path: Path, **given: Any) -> TextPairs:
    options = {"tokenizer": "characters", "batch_size": 8, "eval_batch_size": 100, **given}
    data = TextPairs(str(path), cache=str(tmp_path / "cache"), **options)
    data.setup()
    return data


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Each source with two targets."""
    rows = [{"source": f"the {i // 2}", "target": f"{i * i} of it"} for i in range(100)]
    place = tmp_path / "rows.jsonl"
    place.write_text("\n".join(json.dumps(row) for row in rows))
    return place


def said(data: TextPairs, stage: str) -> list[tuple[str, str]]:
    rows = torch.arange(data.facts.sizes[stage])
    source, _ = data.parts[stage].sources.padded(rows, data.pad)
    target, _ = data.parts[stage].targets.padded(rows, IGNORED)
    sources = data.tokenizer.decode_batch(source.tolist())
    return list(zip(sources, data.texts(target), strict=True))


def test_dates() -> None:
    made = list(pairs())
    assert made == list(pairs())
    assert len({iso for _, iso in made}) == len({words for words, _ in made}) == PAIRS
    date = datetime.date(2026, 11, 24)
    assert [in_words(date, form) for form in FORMS] == [
        "the 24th of November 2026",
        "Tuesday, 24 November 2026",
        "November 24, 2026",
        "Tue 24 Nov 2026",
        "November the 24th, 2026",
        "Tuesday the 24th of November, 2026",
    ]
    days = [in_words(datetime.date(2026, 1, d), FORMS[0]).split()[1] for d in range(1, 32)]
    assert days[:4] == ["1st", "2nd", "3rd", "4th"]
    assert days[9:13] == ["10th", "11th", "12th", "13th"]
    assert days[20:23] == ["21st", "22nd", "23rd"]
    assert days[30] == "31st"


def test_splits_share_no_dates(tmp_path: Path) -> None:
    data = ready("python:dates", tmp_path)
    parts = {stage: said(data, stage) for stage in ("train", "val", "test")}
    assert sorted(p for part in parts.values() for p in part) == sorted(pairs())
    dates = [{iso for _, iso in part} for part in parts.values()]
    assert sum(map(len, dates)) == len(set.union(*dates)) == PAIRS


def test_equal_sources_stay_in_one_split(file: Path, tmp_path: Path) -> None:
    data = ready(file, tmp_path)
    sources = [{source for source, _ in said(data, stage)} for stage in ("train", "val", "test")]
    assert sum(map(len, sources)) == len(set.union(*sources)) == 50


def test_a_batch(file: Path, tmp_path: Path) -> None:
    data = ready(file, tmp_path, max_target_length=6)
    start = data.tokenizer.token_to_id(tokenizers.START)
    for source, mask, target, tokens in data.train_dataloader():
        assert tokens == (target != IGNORED).sum()
        assert source.shape == mask.shape
        assert source.shape[0] == target.shape[0] == 8
        assert (source[:, 0] == start).all()
        assert (source[~mask] == data.pad).all()
        assert not (target == start).any()  # the decoder adds it
        assert target.shape[1] <= 6
        assert ((target == data.end).sum(1) == 1).all()
        after = (target == data.end).cumsum(1).bool() & (target != data.end)
        assert torch.equal(after, target == IGNORED)
    whole = ready(file, tmp_path)
    assert ("the 3", "49 of it") in [
        pair for s in ("train", "val", "test") for pair in said(whole, s)
    ]


def test_decoding_stops_at_the_end_token(file: Path, tmp_path: Path) -> None:
    data = ready(file, tmp_path)
    tokens = data.tokenizer.encode("of it", add_special_tokens=False).ids
    rows = torch.tensor([[*tokens, data.end, tokens[0]], [*tokens, tokens[0], tokens[0]]])
    assert data.texts(rows) == ["of it", "of itoo"]


def test_limits_and_sizes(file: Path, tmp_path: Path) -> None:
    data = ready(file, tmp_path, limit=8)
    assert data.facts.sizes == {"train": 8, "val": 8, "test": 8}
    known = data.facts.for_model()
    assert known["pad"] == 0
    assert known["vocab_size"] == data.tokenizer.get_vocab_size()


def test_invalid_data_are_rejected(file: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.target_column=goal is not a column of"):
        ready(file, tmp_path, target_column="goal")
    with pytest.raises(UserError, match=r"data\.max_target_length=1 leaves no room"):
        ready(file, tmp_path, max_target_length=1)
    made = ready(file, tmp_path, tokenizer="bpe", vocab_size=300).tokenizer
    plain = json.loads(made.to_str())
    plain["model"]["vocab"] = {
        word.replace("s>", "stop>"): i for word, i in plain["model"]["vocab"].items()
    }
    plain["added_tokens"], plain["post_processor"] = [], None
    (tmp_path / "tokenizer.json").write_text(json.dumps(plain))
    with pytest.raises(UserError, match=r"has no end token \(</s>\): type data\.tok"):
        ready(file, tmp_path, tokenizer=str(tmp_path))
