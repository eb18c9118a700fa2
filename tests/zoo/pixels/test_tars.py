"""Tar shards: images are found by offset, and the order reads few shards at a time."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from arclight.errors import UserError
from arclight_zoo.pixels.image_data import ImageData
from arclight_zoo.pixels.sources import open_source
from arclight_zoo.pixels.tars import TarSplit
from tests.pictures import image_folder, picture, tar_shards

SHARDS = {
    **{f"train-{i:06}": ["dog", "cat"] * 6 for i in range(6)},
    "val-000000": ["cat"] * 4,
    "test-000000": ["dog"] * 4,
}


def ready(path: Path, **given: Any) -> ImageData:
    options = {"batch_size": 8, "num_workers": 0, "loader": "workers", "shuffle_window": 2, **given}
    data = ImageData(str(path), cache=str(path.parent / "cache"), **options)
    data.setup()
    return data


@pytest.mark.parametrize("sidecar", ["cls", "json"])
@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_images_and_labels(tmp_path: Path, sidecar: str, suffix: str) -> None:
    folder = tar_shards(tmp_path / "shards", SHARDS, sidecar, suffix)
    source = open_source(str(folder), cache=tmp_path / "cache")
    assert source.class_names == ["cat", "dog"]
    assert {name: len(s.labels) for name, s in source.splits.items()} == {
        "train": 72, "val": 4, "test": 4,
    }  # fmt: skip
    train = source.splits["train"]
    assert isinstance(train, TarSplit)
    assert train.labels.tolist() == [1, 0] * 36
    assert train.member(13) == f"000013.{suffix}"
    for index in (0, 13, 71):
        assert np.array_equal(np.asarray(train.image(index)), np.asarray(picture(index)))


def test_numbers_are_lines_of_the_list_of_classes(tmp_path: Path) -> None:
    folder = tar_shards(tmp_path / "shards", {"a": ["10", "9", "2"]})
    source = open_source(str(folder), cache=tmp_path)
    assert source.class_names == ["2", "9", "10"]
    (folder / "classes.txt").write_text("\n".join("abcdefghijk"))
    source = open_source(str(folder), cache=tmp_path)
    assert [source.class_names[i] for i in source.splits["train"].labels] == ["k", "j", "c"]
    (folder / "classes.txt").write_text("a\nb\n")
    with pytest.raises(UserError, match=r"Label 10 .* is not one of the 2 classes"):
        open_source(str(folder), cache=tmp_path)


def test_an_epoch_visits_each_image_once_shard_by_shard(tmp_path: Path) -> None:
    data = ready(tar_shards(tmp_path / "shards", SHARDS))
    batches = data.train_dataloader().batches  # lanes: 8, of a batch of 8
    epochs = [torch.cat(list(batches.of_epoch(e))) for e in (0, 1, 0)]
    assert torch.equal(epochs[0], epochs[2])
    assert not torch.equal(epochs[0], epochs[1])
    assert sorted(epochs[0].tolist()) == list(range(72))
    data = ready(tar_shards(tmp_path / "shards", SHARDS), batch_size=1)  # one lane
    shards = torch.cat(list(data.train_dataloader().batches.of_epoch(0))) // 12
    for part in shards.split(24):
        assert len(part.unique()) == 2
        assert (part.diff() != 0).sum() > 4


def test_shards_and_class_folders_yield_the_same_images(tmp_path: Path) -> None:
    """With sorted labels, shards and folders have the same order of rows."""
    folders = image_folder(tmp_path / "folders", {"a": 10, "b": 14})
    shards = tar_shards(tmp_path / "shards", {"0": ["a"] * 8, "1": ["a"] * 2 + ["b"] * 14})
    one, other = (ready(path, shuffle_window=None) for path in (folders, shards))
    assert one.facts.sizes == other.facts.sizes
    assert one.facts.mean == other.facts.mean
    for (x, y), (u, v) in zip(one.train_dataloader(), other.train_dataloader(), strict=True):
        assert torch.equal(x, u)
        assert torch.equal(y, v)


def test_setup_reads_few_images_and_the_index_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tar_shards(tmp_path / "shards", {"train-0": ["a", "b"] * 100, "val-0": ["a"] * 4})
    looked = []
    image = TarSplit.image
    monkeypatch.setattr(TarSplit, "image", lambda s, i: looked.append(i) or image(s, i))
    given = {"mean": [0.5] * 3, "std": [0.2] * 3, "test_fraction": 0}
    first = ready(folder, **given).facts
    assert len(looked) == 32 + 4
    monkeypatch.setattr("tarfile.open", lambda *_: pytest.fail("it was indexed before"))
    assert ready(folder, **given).facts == first


def test_unreadable_images_are_skipped(tmp_path: Path) -> None:
    folder = tar_shards(tmp_path / "shards", SHARDS)
    train = open_source(str(folder), cache=tmp_path).splits["train"]
    assert isinstance(train, TarSplit)
    with (folder / "train-000001.tar").open("r+b") as shard:
        shard.seek(int(train.offsets[13]))
        shard.write(b"nonsense")
    with pytest.raises(UserError, match=r"^000013\.png in .*train-000001\.tar cannot be read"):
        list(ready(folder).train_dataloader())
    data = ready(folder, on_error="skip")
    assert data.facts.skipped == {"train": 1}
    assert len(torch.cat([y for _, y in data.train_dataloader()])) == 64  # of 71, in eights


def test_invalid_data_are_rejected(tmp_path: Path) -> None:
    def fault(shards: dict[str, list[str]], **given: Any) -> str:
        fault.count += 1  # type: ignore[attr-defined]
        folder = tmp_path / str(fault.count)  # type: ignore[attr-defined]
        tar_shards(folder, shards)
        change = given.pop("change", lambda _: None)
        change(folder)
        with pytest.raises(UserError) as error:
            ready(folder, **given)
        return str(error.value).replace(f"{folder}/", "")

    fault.count = 0  # type: ignore[attr-defined]

    def cut(size: int | None) -> Any:
        def change(folder: Path) -> None:
            content = (folder / "a.tar").read_bytes()
            end = -(-len(content.rstrip(b"\0")) // 512) * 512
            (folder / "a.tar").write_bytes(content[: size or end])

        return change

    broken = "Shard a.tar is truncated or not a tar file: fetch it again, or remove it."
    two = {"a": ["x", "y"]}
    for size in (None, 300, 512 + 200, 512 + 1024 + 300):  # None: only the end mark is missing
        assert fault(two, change=cut(size)) == broken
    assert "000000 in shard a.tar has no label (.cls or .json with one)" in fault({"a": [""]})
    assert "no label (a kind in its .json)" in fault(two, label_column="kind")
    gap = {"t-0": ["x"], "t-1": ["x"], "t-4": ["x"]}
    assert "t-*, number 2 is missing and 1 more between 0 and 4" in fault(gap)
    packed = fault(two, change=lambda f: (f / "a.tar").rename(f / "a.tar.gz"))
    assert "a.tar.gz is compressed" in packed
    folders = image_folder(tmp_path / "folders", {"a": 10, "b": 10})
    with pytest.raises(UserError, match=r"data\.shuffle_window=2 is a number of tar shards"):
        ready(folders).train_dataloader()
