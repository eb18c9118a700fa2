"""Images that cannot be read, and workers that die."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from arclight.data.order import EvalBatches
from arclight.errors import UserError
from arclight.signals import SIGNALS
from arclight_zoo.pixels.augment import Finish
from arclight_zoo.pixels.decode import Normalise, Shape
from arclight_zoo.pixels.digits import DigitsSplit
from arclight_zoo.pixels.image_data import ImageData
from arclight_zoo.pixels.worker_loader import WorkerLoader
from tests.pictures import image_folder


def ready(folder: Path, **given: object) -> ImageData:
    options = {"batch_size": 4, "num_workers": 0, "val_fraction": 0, "test_fraction": 0, **given}
    data = ImageData(str(folder), cache=str(folder.parent / "cache"), **options)  # type: ignore[arg-type]
    data.setup()
    return data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """20 images, of which the first and the third cannot be read."""
    made = image_folder(tmp_path / "images", {"a": 10, "b": 10})
    (made / "a" / "000.png").write_bytes(b"")
    whole = (made / "a" / "002.png").read_bytes()
    (made / "a" / "002.png").write_bytes(whole[: len(whole) // 2])
    return made


@pytest.mark.parametrize("loader", ["memory", "workers"])
def test_an_unreadable_image_is_named(folder: Path, loader: str) -> None:
    with pytest.raises(
        UserError, match=r"a/00[02]\.png cannot be read .* type data\.on_error=skip to leave"
    ):
        list(ready(folder, loader=loader).train_dataloader())


def test_skip_leaves_them_out_and_counts_them(folder: Path) -> None:
    prints = []
    for loader in ("memory", "workers"):
        for _ in range(2):  # the second time from the cache
            data = ready(folder, loader=loader, on_error="skip")
            assert data.facts.skipped == {"train": 2}
            assert data.facts.sizes["train"] == 18
            assert data.left_out == [
                "2 unreadable of split train left out (data.on_error=skip): "
                f"{folder}/a/000.png, {folder}/a/002.png."
            ]
            assert sum(len(y) for _, y in data.train_dataloader()) == 16  # whole batches of 4
        prints.append(data.facts.fingerprint)
    (folder / "a" / "001.png").write_bytes(b"")
    assert ready(folder, on_error="skip").facts.skipped == {"train": 3}


def test_skip_has_a_limit(folder: Path) -> None:
    with pytest.raises(UserError) as error:
        ready(folder, on_error="skip", max_errors=1)
    assert str(error.value) == (
        f"2 images cannot be read, more than data.max_errors=1 ({folder}/a/000.png, "
        f"{folder}/a/002.png): replace or remove them, or type data.max_errors=2."
    )


def test_skip_changes_nothing_where_all_can_be_read(tmp_path: Path) -> None:
    made = image_folder(tmp_path / "images", {"a": 6, "b": 6})
    careful, plain = ready(made, on_error="skip").facts, ready(made).facts
    assert careful == plain


class Deadly(DigitsSplit):
    """The process that decodes it is killed, as where there is too little memory."""

    def image(self, index: int) -> Image.Image:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


class Stuck(DigitsSplit):
    """Its file is on a server that does not answer."""

    def image(self, index: int) -> Image.Image:
        time.sleep(3600)
        raise AssertionError


def worker_loader(kind: type[DigitsSplit], images: int, num_workers: int = 2) -> WorkerLoader:
    """Batches of 2 black images."""
    split = kind("train", np.zeros((images, 1, 8, 8), np.uint8), np.zeros(images, np.int64), "")
    finish = Finish(Normalise([0.5], [0.25]), 2, None)
    rows, batches = np.arange(images), EvalBatches(images, 2)
    return WorkerLoader(split, rows, Shape(1, 8), batches, finish, num_workers=num_workers)


def test_a_dead_worker_comes_with_its_likely_cause() -> None:
    loader = worker_loader(Deadly, 4)
    with pytest.raises(UserError) as error:
        list(loader)
    assert not multiprocessing.active_children()
    told = str(error.value)
    assert "A data worker died (DataLoader worker" in told
    assert "too little memory" in told
    assert told.endswith("type data.num_workers=1, or ask for more memory.")


def test_signals_to_every_process_of_a_job_leave_the_workers_at_work() -> None:
    loader = worker_loader(DigitsSplit, 40)
    batches = iter(loader)
    next(batches)
    for worker in multiprocessing.active_children():
        for number in SIGNALS:
            assert worker.pid
            os.kill(worker.pid, number)
    assert sum(1 for _ in batches) == 19
    assert len(multiprocessing.active_children()) == 2
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(SIGNALS)  # the run hears them
    loader.close()
    assert not multiprocessing.active_children()


def test_a_worker_that_does_not_end_when_told_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.5)
    loader = worker_loader(Stuck, 4, num_workers=1)
    loader.begin()
    loader.close()
    assert not multiprocessing.active_children()
