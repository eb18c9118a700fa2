"""Text encoded during training: any process can make any sequence from its index."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from arclight.data.order import TrainBatches
from arclight.data.windows import within_windows
from arclight.errors import UserError
from arclight_zoo.text.blocks import open_shards
from arclight_zoo.text.text_shards import BlockLoader, TextShards
from arclight_zoo.tokens import tokenizer as tokenizers

TEXTS = [f"text {i}: " + " ".join(str(i * j) for j in range(i % 40)) for i in range(600)]


def jsonl(folder: Path, shards: int = 3) -> Path:
    folder.mkdir()
    for s in range(shards):
        lines = [json.dumps({"text": text, "id": i}) for i, text in enumerate(TEXTS[s::shards])]
        (folder / f"train-{s:05}-of-{shards:05}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def parquet(folder: Path, shards: int = 3) -> Path:
    import pyarrow
    from pyarrow import parquet as files

    folder.mkdir()
    for s in range(shards):
        table = pyarrow.table({"id": list(range(len(TEXTS[s::shards]))), "text": TEXTS[s::shards]})
        name = folder / f"train-{s:05}-of-{shards:05}.parquet"
        files.write_table(table, name, row_group_size=20)
    return folder


def ready(path: Path, **given: Any) -> TextShards:
    options = {"vocab_size": 300, "context": 16, "batch_size": 8, "block_mb": 0.004,
               "val_fraction": 0.1, "shuffle_window": 2, **given}  # fmt: skip
    data = TextShards(str(path), cache=str(path.parent / "cache"), **options)
    data.setup()
    return data


@pytest.mark.parametrize("size", [100, 5000, 10**9])
def test_blocks_hold_every_text_once(tmp_path: Path, size: int) -> None:
    for make in (jsonl, parquet):
        files = sorted(map(str, make(tmp_path / make.__name__).iterdir()))
        shards = open_shards("it", files, "", None, size, tmp_path / "cache")
        read = ["".join(c) for c in shards.texts(np.arange(len(shards.blocks))).read()]
        assert read == [text for s in range(3) for text in TEXTS[s::3]]


@pytest.mark.parametrize("make", [jsonl, parquet])
def test_epochs_and_resuming(tmp_path: Path, make: Any) -> None:
    data = ready(make(tmp_path / "shards"))
    loader, place = data.train_dataloader(), 0
    loader.batches.position = lambda: place
    steps = len(loader)
    assert steps == data.facts.sizes["train"] // 8
    whole = list(loader)
    for x, y in whole:
        assert x.shape == y.shape == (8, 16)
        assert torch.equal(x[:, 1:], y[:, :-1])
    again = ready(tmp_path / "shards").train_dataloader()
    for place in (1, steps // 2, steps - 1):
        again.batches.position = lambda: place  # noqa: B023
        for (x, y), (u, v) in zip(again, whole[place:], strict=True):
            assert torch.equal(x, u)
            assert torch.equal(y, v)
    place = steps
    other = torch.cat([x for x, _ in loader])
    assert not torch.equal(other, torch.cat([x for x, _ in whole]))
    read = data.tokenizer.decode(np.concatenate([x.numpy() for x, _ in whole]).flatten())
    held = {t for i in np.setdiff1d(np.arange(len(data.blocks.shards.blocks)), data.blocks.chosen)
            for t in map("".join, data.blocks.shards.texts(np.array([i])).read())}  # fmt: skip
    seen = sum(text in read for text in set(TEXTS) - held if len(text) < 20)
    assert seen > 0.4 * sum(len(text) < 20 for text in set(TEXTS) - held)
    assert not any(text in read for text in held if len(text) > 60)
    targets = sum(int((y >= 0).sum()) for _, y in data.val_dataloader())
    assert targets == len(data.streams["val"]) - 1


def test_blocks_are_not_encoded_repeatedly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that are needed soon are kept, even if the limit is low."""
    data = ready(jsonl(tmp_path / "shards"))
    encode, asked = data.blocks.encode, []
    monkeypatch.setattr(data.blocks, "encode", lambda b: asked.append(b) or encode(b))
    made = TrainBatches(data.facts.sizes["train"], 8, 5)
    within_windows(made, data.blocks.of_sequence, 2)
    batches = len(list(loader := BlockLoader(made, data.blocks, kept=24)))
    assert len(asked) <= 2 * len(data.blocks.counts)  # a lane may begin within a block
    assert len(loader.encoded) <= 24
    assert len(list(BlockLoader(made, data.blocks, kept=1))) == batches


def test_processes_share_each_batch(tmp_path: Path) -> None:
    data = ready(jsonl(tmp_path / "shards"))

    def batches(rank: int, world: int) -> list[torch.Tensor]:
        made = TrainBatches(data.facts.sizes["train"], 8, 5, rank, world)
        loader = BlockLoader(within_windows(made, data.blocks.of_sequence, 2), data.blocks, kept=24)
        return [x for x, _ in loader]

    ranks = [batches(rank, 2) for rank in (0, 1)]
    for one, two, both in zip(*ranks, batches(0, 1), strict=True):
        assert torch.equal(torch.cat([one, two]), both)


def test_a_limit_and_splits_of_its_own(tmp_path: Path) -> None:
    folder = jsonl(tmp_path / "shards")
    (folder / "test.jsonl").write_text((folder / "train-00000-of-00003.jsonl").read_text())
    data = ready(folder, limit=20)
    assert data.facts.sizes["train"] == 20
    assert data.facts.sizes["test"] == 21
    data = ready(folder)
    assert data.facts.bytes_per_token.keys() == {"val", "test"}
    assert all(1 < bytes_ < 8 for bytes_ in data.facts.bytes_per_token.values())
    assert data.facts == ready(folder).facts
    assert data.facts.fingerprint != ready(folder, split_seed=1).facts.fingerprint


def test_a_published_end(tmp_path: Path) -> None:
    made = tokenizers.byte_pairs(TEXTS, 300).to_str().replace("</s>", "<|endoftext|>")
    (tmp_path / tokenizers.FILE).write_text(made)
    data = ready(jsonl(tmp_path / "shards"), tokenizer=str(tmp_path), vocab_size=None)
    end = data.tokenizer.token_to_id("<|endoftext|>")
    texts = data.blocks.shards.texts(data.blocks.chosen[:1])
    assert (data.blocks.encode(0) == end).sum() == sum(last for _, last in texts.pieces()) > 1
    assert data.facts.vocab_size == 300  # its own


def test_invalid_data_are_rejected(tmp_path: Path) -> None:
    folder = jsonl(tmp_path / "shards")
    with pytest.raises(UserError, match=r"too few to hold some out: type a smaller data\.block_mb"):
        ready(folder, block_mb=4.0, shuffle_window=1, val_fraction=0.9)
    with pytest.raises(UserError, match=r"data\.text_column=txt is not a column of"):
        ready(folder, text_column="txt")
    second = folder / "train-00001-of-00003.jsonl"
    whole = second.read_text()
    second.write_text(whole.replace('"text"', '"body"'))
    with pytest.raises(UserError, match=r"train-00001-of-00003\.jsonl has no text, only body, id"):
        ready(folder)
    second.write_text(whole[: len(whole) // 2] + "\n" + whole[len(whole) // 2 :])
    with pytest.raises(UserError, match=r"of .*train-00001.* is not a JSON object"):
        ready(folder)
    second.unlink()
    with pytest.raises(UserError, match=r"number 1 is missing between 0 and 2: add it"):
        ready(folder)
    other = parquet(tmp_path / "parquet")
    file = other / "train-00002-of-00003.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"train-00002-of-00003\.parquet is truncated"):
        ready(other)
    import pyarrow
    from pyarrow import parquet as files

    files.write_table(pyarrow.table({"body": ["a"]}), file)
    with pytest.raises(UserError, match=r"has no column text, unlike the first one, only body"):
        ready(other)
