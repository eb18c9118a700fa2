"""Both loaders yield the same batches, with any number of workers."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from arclight.data.order import EvalBatches, TrainBatches, random_table
from arclight.errors import UserError
from arclight_zoo.pixels.augment import Augment, Finish
from arclight_zoo.pixels.crops import RandomCrop
from arclight_zoo.pixels.decode import Normalise, Shape
from arclight_zoo.pixels.memory import MemoryLoader, decoded
from arclight_zoo.pixels.source import Split
from arclight_zoo.pixels.sources import open_source
from arclight_zoo.pixels.worker_loader import WorkerLoader
from tests.pictures import image_folder, picture

SHAPE = Shape(3, 12, resize=False)
AUGMENT = Augment(crop=2, flip=True, policy="trivial", erase=0.5, mixup=0.2, cutmix=1.0)
FINISH = Finish(Normalise([0.5] * 3, [0.25] * 3), 3, AUGMENT)
Batches = list[tuple[torch.Tensor, torch.Tensor]]


@pytest.fixture
def split(tmp_path: Path) -> Split:
    folder = image_folder(tmp_path / "images", {"a": 10, "b": 10, "c": 10})
    return open_source(str(folder)).splits["train"]


def same(one: Batches, other: Batches) -> bool:
    pairs = zip(one, other, strict=True)
    return all(torch.equal(a, b) for x, y in pairs for a, b in zip(x, y, strict=True))


def test_workers_and_memory_yield_the_same_batches(split: Split, tmp_path: Path) -> None:
    position = 0
    batches = TrainBatches(30, 8, seed=1, position=lambda: position)
    images = torch.from_numpy(decoded(split, SHAPE, tmp_path))
    memory = MemoryLoader(images, torch.from_numpy(split.labels), batches, FINISH)
    alone, two = (
        WorkerLoader(split, np.arange(30), SHAPE, batches, FINISH, num_workers=n) for n in (0, 2)
    )
    epochs = []
    for start in (0, 3, 7):  # two whole epochs, and one from within
        position = start
        epochs.append(list(memory))
        assert same(epochs[-1], list(alone))
        assert same(epochs[-1], list(two))
    assert [len(epoch) for epoch in epochs] == [3, 3, 2]
    assert not same(epochs[0], epochs[1])
    assert len(memory) == len(two) == 3
    x, y = epochs[0][0]
    assert (x.shape, x.dtype, y.shape) == ((8, 3, 12, 12), torch.float32, (8, 3))


def test_evaluation_is_in_order_and_not_augmented(split: Split, tmp_path: Path) -> None:
    rows = np.array([2, 3, 11, 25])
    images = torch.from_numpy(decoded(split, SHAPE, tmp_path))[rows]
    labels = torch.from_numpy(split.labels[rows])
    plain = Finish(FINISH.normalise, 3, None)
    memory = MemoryLoader(images, labels, EvalBatches(4, 3), plain)
    workers = WorkerLoader(split, rows, SHAPE, EvalBatches(4, 3), plain)
    assert same(list(memory), list(workers))
    assert torch.equal(torch.cat([x for x, _ in memory]), FINISH.normalise(images))
    assert torch.equal(torch.cat([y for _, y in memory]), labels)


def test_no_loader_touches_the_global_generators(split: Split, tmp_path: Path) -> None:
    images = torch.from_numpy(decoded(split, SHAPE, tmp_path))
    batches = TrainBatches(30, 8, seed=1)
    before, theirs = torch.get_rng_state(), np.random.get_state()[1]
    list(MemoryLoader(images, torch.from_numpy(split.labels), batches, FINISH))
    list(WorkerLoader(split, np.arange(30), SHAPE, batches, FINISH))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], theirs)


def test_decoding_happens_once(split: Split, tmp_path: Path) -> None:
    first = decoded(split, SHAPE, tmp_path / "cache")
    assert np.array_equal(first[0], np.asarray(picture(0)).transpose(2, 0, 1))
    (file,) = (tmp_path / "cache").iterdir()
    written = file.stat().st_mtime_ns
    assert np.array_equal(decoded(split, SHAPE, tmp_path / "cache"), first)
    assert file.stat().st_mtime_ns == written
    grey = decoded(split, Shape(1, 6), tmp_path / "cache")
    assert grey.shape == (30, 1, 6, 6)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_read_only_cache_is_rejected(split: Split, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"is not writable \(.*\): type data\.cache=FOLDER"):
        decoded(split, SHAPE, tmp_path / "file" / "cache")


def test_threads_end_with_the_epoch_or_when_it_is_abandoned(split: Split) -> None:
    others = set(threading.enumerate())
    batches = TrainBatches(30, 8, seed=1)
    loader = WorkerLoader(split, np.arange(30), SHAPE, batches, FINISH, num_workers=2)
    left = iter(loader)
    next(left)
    assert set(threading.enumerate()) > others
    left.close()  # type: ignore[attr-defined]
    assert set(threading.enumerate()) == others
    list(loader)
    assert set(threading.enumerate()) == others


def test_errors_in_workers_are_reported(tmp_path: Path) -> None:
    image_folder(tmp_path, {"a": 4})
    (tmp_path / "a" / "002.png").write_bytes(b"nonsense")
    split = open_source(str(tmp_path)).splits["train"]
    plain = Finish(FINISH.normalise, 1, None)
    loader = WorkerLoader(split, np.arange(4), SHAPE, EvalBatches(4, 2), plain, num_workers=1)
    with pytest.raises(UserError) as error:
        list(loader)
    file = tmp_path / "a" / "002.png"
    assert str(error.value) == (
        f"{file} cannot be read as an image: replace or remove it, or type data.on_error=skip to "
        "leave out unreadable images."
    )


def test_resized_crops_have_the_requested_area() -> None:
    gradient = np.mgrid[0:100, 0:200].transpose(1, 2, 0).astype(np.uint8)
    image = Image.fromarray(np.dstack([gradient, gradient[..., :1]]))
    areas = []
    for u in random_table(0, 0, 200)[:, :4].tolist():
        pixels = RandomCrop(Shape(3, 32), 0.2, True, u)(image, b"").astype(float)
        height, width = np.ptp(pixels[0]) * 32 / 31, np.ptp(pixels[1]) * 32 / 31
        areas.append(height * width / (100 * 200))
        assert pixels.shape == (3, 32, 32)
        assert 0.6 < width / height < 1.8
    assert 0.15 < min(areas) < 0.3
    assert max(areas) > 0.6


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_resized_crops_do_not_depend_on_workers_or_interruptions(
    tmp_path: Path, suffix: str
) -> None:
    (tmp_path / "a").mkdir()
    for i in range(30):
        picture(i, (70, 50)).save(tmp_path / "a" / f"{i:02}.{suffix}")
    split = open_source(str(tmp_path)).splits["train"]
    finish = Finish(FINISH.normalise, 1, Augment(resized_crop=0.3, flip=True))
    position = 0
    batches = TrainBatches(30, 10, seed=1, position=lambda: position)
    loaders = [
        WorkerLoader(split, np.arange(30), Shape(3, 8), batches, finish, num_workers=n)
        for n in (0, 1, 3)
    ]
    alone, *others = (list(loader) for loader in loaders)
    assert alone[0][0].shape == (10, 3, 8, 8)
    assert all(same(alone, other) for other in others)
    position = 2
    assert all(same(alone[2:], list(loader)) for loader in loaders)
    position = 3
    assert not same(alone, list(loaders[0]))
