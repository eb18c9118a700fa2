"""Shards on the hub, read by ranges through the real clients, equal those in a folder."""

import gzip
import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from arclight.data.order import TrainBatches
from arclight.data.windows import within_windows
from arclight.errors import UserError
from arclight_zoo.reading import remote_files
from arclight_zoo.reading.hub import load_splits, split_files
from arclight_zoo.text.blocks import open_shards
from arclight_zoo.text.text_shards import BlockLoader, TextShards
from arclight_zoo.tokens import tokenizer as tokenizers
from tests.hub import Hub, hub, hurried
from tests.zoo.text.test_shards import TEXTS, jsonl, parquet, ready

Batches = list[tuple[torch.Tensor, torch.Tensor]]


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub(tmp_path, monkeypatch) as made:
        (made.folder / "datasets" / "org").mkdir(parents=True)
        yield made


def offered(served: Hub, make: Any = jsonl) -> Path:
    return make(served.folder / "datasets" / "org" / "texts")  # type: ignore[no-any-return]


def of_hub(served: Hub, **given: Any) -> TextShards:
    options = {"vocab_size": 300, "context": 16, "batch_size": 8, "block_mb": 0.004,
               "val_fraction": 0.1, "shuffle_window": 2, **given}  # fmt: skip
    path = options.pop("path", "org/texts")
    data = TextShards(path, cache=str(served.folder.parent / "hub-cache"), **options)
    data.setup()
    return data


def assert_same(one: Batches, other: Batches) -> None:
    for (x, y), (u, v) in zip(one, other, strict=True):
        assert torch.equal(x, u)
        assert torch.equal(y, v)


@pytest.mark.parametrize("make", [jsonl, parquet])
def test_the_same_as_a_folder(served: Hub, tmp_path: Path, make: Any) -> None:
    folder = offered(served, make)
    here, there = ready(shutil.copytree(folder, tmp_path / "folder")), of_hub(served)
    loader, place = there.train_dataloader(), 0
    loader.batches.position = lambda: place
    steps = len(loader)
    whole = list(here.train_dataloader())
    assert_same(list(loader), whole)
    assert_same(list(there.val_dataloader()), list(here.val_dataloader()))
    place = steps // 2
    assert_same(list(loader), whole[place:])
    again = of_hub(served).train_dataloader()
    again.batches.position = lambda: place
    assert_same(list(again), whole[place:])

    def share(rank: int) -> list[torch.Tensor]:
        made = TrainBatches(there.facts.sizes["train"], 8, 0, rank, 2)
        within = within_windows(made, there.blocks.of_sequence, 2)
        return [x for x, _ in BlockLoader(within, there.blocks, kept=24)]

    shares = [torch.cat(both) for both in zip(share(0), share(1), strict=True)]
    assert all(torch.equal(both, x) for both, (x, _) in zip(shares, whole, strict=True))


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_only_needed_blocks_are_fetched(served: Hub, tmp_path: Path, kind: str) -> None:
    """A few batches of a large data set fetch a few blocks, each about once."""
    import pyarrow
    from pyarrow import parquet as files

    folder = served.folder / "datasets" / "org" / "texts"
    folder.mkdir()
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abcdefgh "), 1000)) for _ in range(4000)]
    for s in range(2):
        if kind == "jsonl":
            lines = [json.dumps({"id": i, "text": text}) for i, text in enumerate(texts[s::2])]
            (folder / f"train-{s}.jsonl").write_text("\n".join(lines))
        else:
            table = pyarrow.table({"unread": texts[s::2], "text": texts[s::2]})
            files.write_table(table, folder / f"train-{s}.parquet", row_group_size=100,
                              use_dictionary=False, compression="none")  # fmt: skip
    total = sum(file.stat().st_size for file in folder.iterdir())
    (tmp_path / tokenizers.FILE).write_text(tokenizers.byte_pairs(TEXTS, 300).to_str())
    data = of_hub(served, tokenizer=str(tmp_path), block_mb=0.1, val_fraction=0.01, context=1000)
    assert len(data.blocks.counts) >= 35
    assert served.sent(kind) < total / 2
    if kind == "parquet":
        return
    before, blocks = served.sent(kind), data.blocks.shards
    assert list(blocks.texts(np.array([3])).read())
    assert served.sent(kind) - before < 1.1 * blocks.blocks["size"][3]


def test_a_commit_to_other_files_changes_nothing(served: Hub) -> None:
    folder = offered(served)
    before = of_hub(served).facts
    (folder / "README.md").write_text("A word more.")
    assert of_hub(served).facts == before
    assert of_hub(served, path="org/texts@main").facts == before
    file = folder / "train-00000-of-00003.jsonl"
    file.write_text(file.read_text().replace("text 3:", "text 4:"))
    assert of_hub(served).facts.fingerprint != before.fingerprint


def test_subsets(served: Hub) -> None:
    folder = served.folder / "datasets" / "org" / "texts"
    jsonl(folder.parent / "one"), jsonl(folder.parent / "two", shards=2)
    folder.mkdir()
    (folder.parent / "one").rename(folder / "one")
    (folder.parent / "two").rename(folder / "two")
    told = [f"- config_name: {n}\n  data_files: {n}/train-*.jsonl\n" for n in ("one", "two")]
    (folder / "README.md").write_text(f"---\nconfigs:\n{''.join(told)}---\n")
    files = of_hub(served, path="org/texts:two").blocks.shards.files
    assert [file.partition("/two/")[2][:7] for file in files] == ["train-0"] * 2
    for path in ("org/texts", "org/texts:three"):
        with pytest.raises(UserError, match=r"type data\.path=org/texts:SUBSET with one of one, t"):
            of_hub(served, path=path)
    with pytest.raises(UserError, match=r"org/texts:one@other has no such revision"):
        of_hub(served, path="org/texts:one@other")


@pytest.mark.parametrize("fault", [503, 0.5])
@pytest.mark.parametrize("make", [jsonl, parquet])
def test_short_outages_are_retried(
    served: Hub, monkeypatch: pytest.MonkeyPatch, make: Any, fault: float
) -> None:
    clock = hurried(monkeypatch)
    offered(served, make)
    data = of_hub(served)
    expected = list(data.train_dataloader())
    served.asked.clear()
    contents = 0

    def sometimes(method: str, path: str) -> float | None:
        nonlocal contents
        contents += "/cdn/" in path
        return fault if "/cdn/" in path and contents % 7 == 0 else None

    served.fault = sometimes
    for _ in range(2):
        assert_same(list(of_hub(served).train_dataloader()), expected)
    assert 1 <= clock.slept <= 200
    assert any(a.status == 503 for a in served.asked) or fault == 0.5


@pytest.mark.parametrize("make", [jsonl, parquet])
def test_a_long_outage_raises_and_the_epoch_can_continue(
    served: Hub, monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    """After the outage, the epoch continues where it stopped."""
    clock = hurried(monkeypatch)
    offered(served, make)
    whole = list(of_hub(served).train_dataloader())
    loader, seen = of_hub(served).train_dataloader(), []
    loader.kept = 1  # no reading ahead
    monkeypatch.setattr(remote_files, "_TRIES", 2)

    def through() -> None:
        for batch in loader:
            seen.append(batch)
            if len(seen) == 10:
                served.stop()

    with pytest.raises(UserError, match=r"train-.* does not answer \(.*; then type the command ag"):
        through()
    assert clock.slept < 200  # of two threads
    served.start()
    assert_same(seen, whole[: len(seen)])
    for again in (loader, of_hub(served).train_dataloader()):
        again.batches.position = lambda: len(seen)
        assert_same(list(again), whole[len(seen) :])


@pytest.mark.parametrize("make", [jsonl, parquet])
def test_concurrent_and_failed_reads_are_independent(
    served: Hub, monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    hurried(monkeypatch)
    monkeypatch.setattr(remote_files, "_TRIES", 1)
    offered(served, make)
    shards = of_hub(served).blocks.shards

    def read(number: int) -> list[str]:
        return ["".join(c) for c in shards.texts(np.array([number])).read()]

    expected = [read(0), read(1)]
    served.fault = lambda method, path: 503 if "/cdn/" in path else None
    for number in (0, 1):
        with pytest.raises(UserError, match="does not answer"):
            read(number)
    served.fault = lambda method, path: time.sleep(0.02)  # a hub's latency
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(read, [0, 1] * 10)) == expected * 10


def test_unavailable_data_are_reported(served: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = hurried(monkeypatch)
    with pytest.raises(UserError, match=r"the Hugging Face hub org/texts does not exist or needs"):
        of_hub(served)
    folder = offered(served)
    file = of_hub(served).blocks.shards.files[0]
    for status in (401, 403):
        served.gated["org/texts"] = status
        with pytest.raises(UserError, match=r"org/texts is gated: ask for access on its page, th"):
            of_hub(served)
    served.gated.clear()
    served.fault = lambda method, path: 500
    with pytest.raises(UserError, match=r"org/texts does not answer \(status 500\): try again lat"):
        of_hub(served)
    assert clock.slept < 100
    clock.slept = 0
    served.fault = lambda method, path: 403 if "/cdn/" in path else None
    with pytest.raises(UserError, match=r"train-.*jsonl cannot be read \(.*403.*with a local copy"):
        remote_files.opened(file, 0, 100).read()
    assert not clock.slept
    served.fault = lambda method, path: None
    for shard in folder.iterdir():
        shard.rename(shard.with_suffix(".csv"))
    with pytest.raises(UserError, match=r"org/texts has \.csv files, .* or type data=text_file"):
        of_hub(served)
    packed = folder.parent / "packed"
    packed.mkdir()
    with gzip.open(packed / "train.jsonl.gz", "wt") as lines:
        lines.write('{"text": "a"}\n')
    assert load_splits("org/packed", None)["train"]["text"] == ["a"]
    with pytest.raises(UserError, match=r"org/packed has \.gz files, .* or type data=text_file"):
        of_hub(served, path="org/packed")
    served.stop()
    with pytest.raises(UserError, match=r"org/texts is out of reach: no network"):
        of_hub(served)


def test_a_line_longer_than_its_block(served: Hub, tmp_path: Path) -> None:
    folder = served.folder / "datasets" / "org" / "texts"
    folder.mkdir()
    texts = ["a" * 200_000, "b", "c" * 100_000, "d"]
    (folder / "train.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in texts))
    here = [str(folder / "train.jsonl")], ""
    for files, identity in (split_files("org/texts", None)["train"], here):
        shards = open_shards("it", files, identity, None, 10_000, tmp_path / "cache")
        read = ["".join(c) for c in shards.texts(np.arange(len(shards.blocks))).read()]
        assert read == texts
