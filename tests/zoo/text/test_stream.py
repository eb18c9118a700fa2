"""Text as a stream: every token is predicted once; offsets are a function of the epoch."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from arclight.errors import UserError
from arclight_zoo.text.stream import TextStream
from arclight_zoo.text.token_files import open_token_files
from arclight_zoo.tokens import tokenizer as tokenizers
from arclight_zoo.tokens.corpus import PIECE, carve_texts, cut, of_file, of_list
from arclight_zoo.tokens.ragged import IGNORED

TEXT = "".join(f"line {i}: {i * i}\n" for i in range(300))


def ready(path: Path | str, tmp_path: Path, **given: object) -> TextStream:
    options = {"tokenizer": "characters", "context": 16, "batch_size": 4, **given}
    data = TextStream(str(path), cache=str(tmp_path / "cache"), **options)  # type: ignore[arg-type]
    data.setup()
    return data


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path


def test_a_single_text_is_split_at_its_end(file: Path, tmp_path: Path) -> None:
    data = ready(file, tmp_path)
    parts = [data.tokenizer.decode(data.streams[s].tolist()) for s in ("train", "val", "test")]
    assert "".join(parts) == TEXT
    assert abs(len(parts[1]) - 0.1 * len(TEXT)) <= 1
    assert data.facts.vocab_size == len(set(TEXT)) + len(tokenizers.SPECIAL)
    assert data.facts.bytes_per_token == {"val": 1.0, "test": 1.0}
    assert all(stream.dtype == np.uint16 for stream in data.streams.values())


def test_evaluation_predicts_every_token_once(file: Path, tmp_path: Path) -> None:
    data = ready(file, tmp_path, eval_batch_size=5)
    targets = torch.cat([y[y != IGNORED] for _, y in data.test_dataloader()])
    assert targets.tolist() == data.streams["test"][1:].tolist()
    for tokens, wanted in data.test_dataloader():
        known = wanted[:, :-1] != IGNORED
        assert torch.equal(tokens[:, 1:][known], wanted[:, :-1][known])


def test_training_offsets_change_with_the_epoch(file: Path, tmp_path: Path) -> None:
    data = ready(file, tmp_path)
    loader = data.train_dataloader()
    steps = len(loader)
    assert steps == data.facts.sizes["train"] // 4
    place = 0
    loader.batches.position = lambda: place

    def epoch(start: int) -> torch.Tensor:
        nonlocal place
        place = start
        return torch.cat([x for x, _ in loader])

    epochs = [epoch(0), epoch(steps), epoch(0)]
    assert torch.equal(epochs[0], epochs[2])
    assert {tuple(r) for r in epochs[0].tolist()} != {tuple(r) for r in epochs[1].tolist()}
    assert torch.equal(epoch(3), epochs[0][12:])  # from within an epoch


def test_a_limit_is_a_number_of_sequences(file: Path, tmp_path: Path) -> None:
    assert ready(file, tmp_path, limit=5).facts.sizes["train"] == 5


def test_equal_texts_stay_in_one_split(tmp_path: Path) -> None:
    texts = [f"text {i % 40}" * 5 for i in range(80)]

    def carved(seed: int) -> list[list[str]]:
        parts = carve_texts(of_list(texts), 0.2, 0.2, seed, tmp_path)
        return [["".join(chunks) for chunks in part.read()] for part in parts]

    train, val, test = carved(0)
    assert sorted([*train, *val, *test]) == sorted(texts)
    assert not set(train) & set(val)
    assert not set(train) & set(test)
    assert 8 < len(val) < 24
    assert carved(0)[2] == test
    assert carved(1)[2] != test


def test_a_fraction_that_takes_no_text_is_rejected(tmp_path: Path) -> None:
    texts = of_list([f"text {i} " * 20 for i in range(4)])  # each a quarter of all
    assert [part.count for part in carve_texts(texts, 0.25, 0.25, 0, tmp_path)] == [2, 1, 1]
    with pytest.raises(
        UserError, match=r"data\.val_fraction=0\.1 takes none of 4 texts \(texts are"
    ):
        carve_texts(texts, 0.1, 0.25, 0, tmp_path)
    with pytest.raises(UserError, match=r"data\.test_fraction=0\.1 takes none of 3 characters"):
        carve_texts(of_list(["abc"]), 0, 0.1, 0, tmp_path)
    np.arange(8, dtype=np.uint16).tofile(tmp_path / "train.bin")
    with pytest.raises(UserError, match=r"data\.val_fraction=0\.01 takes none of 8 tokens"):
        open_token_files(str(tmp_path), 9, (0.01, 0.5), tmp_path)


def test_an_empty_training_text_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(" ")
    with pytest.raises(UserError, match=r"The train text of .* has 1 tokens, fewer than two"):
        ready(tmp_path / "a.txt", tmp_path, val_fraction=0, test_fraction=0)


def test_tables_of_texts(tmp_path: Path) -> None:
    rows = [f'{{"text": "number {i} of many", "other": {i}}}' for i in range(200)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    data = ready(tmp_path / "rows.jsonl", tmp_path, tokenizer="bpe", vocab_size=300)
    end = data.tokenizer.token_to_id(tokenizers.END)
    assert sum(int((s == end).sum()) for s in data.streams.values()) == 200
    with pytest.raises(UserError, match=r"data\.text_column=txt is not a column of"):
        ready(tmp_path / "rows.jsonl", tmp_path, text_column="txt")


def published(folder: Path, end: str) -> str:
    """A published tokenizer with this end token."""
    folder.mkdir(exist_ok=True)
    made = tokenizers.byte_pairs([TEXT], 300).to_str().replace("</s>", end)
    (folder / tokenizers.FILE).write_text(made.replace("<pad>", "</p>"))
    return str(folder)


@pytest.mark.parametrize("end", tokenizers.ENDS)
def test_end_tokens_are_found_by_any_usual_name(tmp_path: Path, end: str) -> None:
    rows = [json.dumps({"text": f"number {i} of many"}) for i in range(200)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    name = published(tmp_path / "published", end)
    data = ready(tmp_path / "rows.jsonl", tmp_path, tokenizer=name)
    token = data.tokenizer.token_to_id(end)
    assert sum(int((s == token).sum()) for s in data.streams.values()) == 200
    assert tokenizers.end_of(data.tokenizer) == token


def test_a_tokenizer_without_an_end_token_warns(file: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("\n".join(['{"text": "one of many"}'] * 200))
    name = published(tmp_path / "published", "<stop>")
    with pytest.warns(UserWarning, match="has no end token .* without a separator") as said:
        ready(tmp_path / "rows.jsonl", tmp_path, tokenizer=name, val_fraction=0, test_fraction=0)
    assert len(said) == 1
    ready(file, tmp_path, tokenizer=name)  # one text needs none


@pytest.mark.parametrize("kind", ["characters", "bpe"])
def test_special_tokens_in_texts_are_plain_text(tmp_path: Path, kind: str) -> None:
    html = "<s>struck</s> and <mask>\n" * 100
    (tmp_path / "page.html.txt").write_text(html)
    data = ready(tmp_path / "page.html.txt", tmp_path, tokenizer=kind, vocab_size=300)
    special = [data.tokenizer.token_to_id(t) for t in tokenizers.SPECIAL]
    tokens = np.concatenate([data.streams[s] for s in ("train", "val", "test")])
    assert not np.isin(tokens, special).any()
    assert data.tokenizer.decode(tokens.tolist()) == html
    framed = tokenizers.framed(data.tokenizer)
    ids = framed.encode("</s>").ids
    assert [ids[0], ids[-1]] == special[2:4]  # added by the tokenizer
    assert framed.decode(ids) == "</s>"


def test_bytes_per_token_of_each_stage(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(
        "abcd" * 500 + "ßßßß" * 500
    )  # the end has two bytes a letter
    data = ready(tmp_path / "text.txt", tmp_path, val_fraction=0.5, test_fraction=0.25)
    assert data.facts.bytes_per_token == {"val": 1.5, "test": 2.0}


def test_a_published_vocabulary_may_be_rounded_up(file: Path, tmp_path: Path) -> None:
    name = published(tmp_path / "published", "<|endoftext|>")
    assert ready(file, tmp_path, tokenizer=name, vocab_size=320).facts.vocab_size == 320
    assert ready(file, tmp_path, tokenizer=name, vocab_size=20).facts.vocab_size == 300


def test_invalid_data_are_rejected(file: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not exist \(looked for"):
        ready(tmp_path / "nowhere.txt", tmp_path)
    with pytest.raises(UserError, match=r"type a smaller data\.context"):
        ready(file, tmp_path, context=400)
    with pytest.raises(UserError, match=r"data\.vocab_size=100 is less than the 261"):
        ready(file, tmp_path, tokenizer="bpe", vocab_size=100)
    with pytest.raises(UserError, match=r"has no tokenizer\.json"):
        ready(file, tmp_path, tokenizer=str(tmp_path))


@pytest.mark.parametrize("kind", ["characters", "bpe"])
def test_tokenizers_are_lossless_and_saved_in_the_run(
    file: Path, tmp_path: Path, kind: str
) -> None:
    data = TextStream(str(file), tokenizer=kind, vocab_size=300, context=16, batch_size=4,
                      cache=str(tmp_path / "cache"))  # fmt: skip
    data.folder = tmp_path
    data.setup()
    kept = tokenizers.load(tmp_path)
    assert kept is not None
    assert kept.decode(kept.encode(TEXT, add_special_tokens=False).ids) == TEXT
    file.write_text(TEXT + "ß")  # the run keeps its first tokenizer
    again = TextStream(str(file), tokenizer=kind, context=16, cache=str(tmp_path / "cache"))
    again.folder = tmp_path
    again.setup()
    assert again.facts.vocab_size == data.facts.vocab_size


def test_pieces_end_with_lines() -> None:
    pieces = list(cut(iter([TEXT]), 100))
    assert "".join(pieces) == TEXT
    assert all(p.endswith("\n") and len(p) <= 100 for p in pieces)
    assert "".join(cut(iter(["x" * 250]), 100)) == "x" * 250
    for size in (1, 7, 99, 1000):  # for any sizes of parts
        chunks = (TEXT[i : i + size] for i in range(0, len(TEXT), size))
        assert list(cut(chunks, 100)) == pieces


def test_the_training_text_of_a_tokenizer_is_limited() -> None:
    texts = of_list(["short", "x" * 30 + "\n"] * 3)
    assert list(texts.sample(1000)) == ["short", "x" * 30 + "\n"] * 3
    assert "".join(texts.sample(50)) == "".join(["short", "x" * 30 + "\n"] * 3)[:50]
    huge = of_list([TEXT * 1000])
    assert len("".join(huge.sample(2_000_000))) == 2_000_000
    assert max(len(piece) for piece in huge.sample(2_000_000)) <= PIECE


def test_a_text_is_the_same_from_a_file_and_from_memory(file: Path, tmp_path: Path) -> None:
    """Also parts of it that start and end within a chunk."""
    whole, listed = [
        carve_texts(t, 0.3, 0.2, 0, tmp_path) for t in (of_file(file), of_list([TEXT]))
    ]
    for one, other in zip(whole, listed, strict=True):
        assert list(one.pieces()) == list(other.pieces())
        assert one.bytes(tmp_path) == other.bytes(tmp_path)
    assert "".join(p for part in whole for p, _ in part.pieces()) == TEXT


def test_encoded_tokens(tmp_path: Path) -> None:
    folder = tmp_path / "tokens"
    folder.mkdir()
    tokens = np.random.default_rng(0).integers(0, 300, 2000).astype(np.uint16)
    tokens.tofile(folder / "train.bin")
    given = {"tokenizer": None, "vocab_size": 300, "val_fraction": 0.1, "test_fraction": 0.1}
    data = ready(folder, tmp_path, **given)
    parts = [data.streams[stage] for stage in ("train", "val", "test")]
    assert [len(part) for part in parts] == [1600, 200, 200]
    assert np.array_equal(np.concatenate(parts), tokens)
    assert data.facts.for_model() == {"vocab_size": 300, "context": 16, "pad": None}
    assert len(next(iter(data.train_dataloader()))[0]) == 4
    tokens[:100].tofile(folder / "val.bin")
    data = ready(folder, tmp_path, **given)
    assert [len(data.streams[stage]) for stage in ("train", "val", "test")] == [1800, 100, 200]
    with pytest.raises(UserError, match=r"has token 299, which is not below data\.vocab_size=299"):
        ready(folder, tmp_path, **{**given, "vocab_size": 299})
    with pytest.raises(
        UserError, match=r"type data\.tokenizer=NAME with the one that encoded them"
    ):
        ready(folder, tmp_path, tokenizer="bpe")
    (folder / "train.bin").write_bytes(b"abc")
    with pytest.raises(UserError, match=r"has 3 bytes, which is not a multiple of 2 bytes"):
        ready(folder, tmp_path, **given)


def test_files_that_are_not_text_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("Straße".encode("latin1") * 100)
    with pytest.raises(UserError, match=r"latin\.txt is not text in UTF-8"):
        ready(tmp_path / "latin.txt", tmp_path)
